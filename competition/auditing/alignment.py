"""Align homologous sequences at a known offset, and name the kind of their homology."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from competition.auditing.rows import Part
from competition.data.cores import BLOCK_BASES
from competition.data.flanks import constant_flanks, strip
from competition.data.tokens import PAD, reverse_complement

HOMOLOG_KINDS = ("identical", "reverse complement", "shifted", "near-duplicate")


class Homologs(NamedTuple):
    """Entries that have a homolog, each aligned with its closest one."""

    entry: np.ndarray  # (M,)
    partner: np.ndarray  # (M,) the closest homolog, always an entry of training rows
    kind: np.ndarray  # (M,) index into HOMOLOG_KINDS
    offset: np.ndarray  # (M,) of the partner's first stored base from the entry's
    flipped: np.ndarray  # (M,) bool: the partner is read on the other strand
    overlap: np.ndarray  # (M,) aligned bases, without constant flanks
    matches: np.ndarray  # (M,) how many of them are equal


class Aligner:
    """Aligns the entries of all parts; offsets are those of sequences without their constant flanks."""

    def __init__(self, parts: Sequence[Part], lengths: np.ndarray) -> None:
        """Take the parts and the length (E,) of every entry without constant flanks."""
        self.parts, self.lengths = parts, lengths
        self.width = max(part.store.tokens.shape[1] for part in parts)
        self.first = np.cumsum([0, *(len(part.sequence) for part in parts)])
        self.flanks = [constant_flanks(part.store.tokens, part.store.lengths) for part in parts]
        self.whole_lengths = np.concatenate([np.asarray(part.store.lengths)[part.sequence] for part in parts])

    def align(
        self, entry: np.ndarray, partner: np.ndarray, offset: np.ndarray, flipped: np.ndarray
    ) -> Homologs:
        """Align each partner (M,) with its entry (M,)."""
        overlap, matches = np.empty(len(entry), np.int64), np.empty(len(entry), np.int64)
        whole = np.empty(len(entry), dtype=bool)
        step = max(1, BLOCK_BASES // self.width)
        for start in range(0, len(entry), step):
            rows = slice(start, start + step)
            one, other = self._read(entry[rows]), self._read(partner[rows], flipped[rows])
            overlap[rows], matches[rows] = _count_matches(one, other, offset[rows])
            one = self._read(entry[rows], strip_flanks=False)
            other = self._read(partner[rows], flipped[rows], strip_flanks=False)
            whole[rows] = (one == other).all(axis=1)
        equal = matches == overlap
        whole |= equal & (overlap == self.lengths[entry]) & (overlap == self.lengths[partner])
        kind = np.select([whole & ~flipped, whole, equal], [0, 1, 2], 3)
        offset = offset + self._left_flank(entry, False) - self._left_flank(partner, flipped)
        return Homologs(entry, partner, kind, offset, flipped, overlap, matches)

    def _left_flank(self, entries: np.ndarray, flipped: np.ndarray | bool) -> np.ndarray:
        """Return the length of each entry's left constant flank, or of the right one where it is flipped."""
        flanks = np.array(self.flanks)[np.searchsorted(self.first, entries, side="right") - 1]
        stripped = np.where(flipped, flanks[:, 1], flanks[:, 0])
        return np.where(self.whole_lengths[entries] > flanks.sum(axis=1), stripped, 0)

    def _read(
        self, entries: np.ndarray, flipped: np.ndarray | None = None, *, strip_flanks: bool = True
    ) -> np.ndarray:
        """Return the tokens of entries in any order (n, L), flipped ones on the other strand."""
        tokens = np.full((len(entries), self.width), PAD, dtype=np.uint8)
        lengths = np.empty(len(entries), dtype=np.int64)
        number = np.searchsorted(self.first, entries, side="right") - 1
        for each, part in enumerate(self.parts):
            rows = np.flatnonzero(number == each)
            sequence = part.sequence[entries[rows] - self.first[each]]
            left, right = self.flanks[each] if strip_flanks else (0, 0)
            read = strip(part.store.tokens[sequence], part.store.lengths[sequence], left, right)
            tokens[rows, : part.store.tokens.shape[1]], lengths[rows] = read
        if flipped is not None and flipped.any():
            tokens[flipped] = reverse_complement(tokens[flipped], lengths[flipped])
        return tokens


def _count_matches(one: np.ndarray, other: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return aligned and equal bases (n,) of two blocks (n, L), the other at offset (n,) from the one."""
    width = one.shape[1]
    place = np.arange(width) - offset[:, None]
    moved = np.take_along_axis(other, place.clip(0, width - 1), axis=1)
    inside = (place >= 0) & (place < width) & (one < PAD) & (moved < PAD)
    return inside.sum(axis=1), (inside & (one == moved)).sum(axis=1)
