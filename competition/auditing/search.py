"""Find for every sequence its closest homologous one on another side: in another fold, or in training.

Sequences are clustered as they are for the folds. Within a cluster those that share a k-mer are compared, and
of the homologous ones the one with the most equal bases counts, and says what kind of homology it is.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from competition.data.cores import BLOCK_BASES, Cores, Sequences, homologous, pack
from competition.data.flanks import constant_flanks, strip
from competition.data.groups import cluster
from competition.data.hashing import mix
from competition.data.kmers import Kmers, spaced
from competition.data.store import Store
from competition.data.tokens import PAD, reverse_complement

TEST = -1  # the side of test rows; folds are 0, 1, ...
KINDS = ("same", "reverse complement", "shifted", "near-duplicate")
WHOLE = 1 << 40  # equal bases that equal sequences count for


class Part(NamedTuple):
    """Sequences of a store as they stand on sides: one whose rows are on two sides comes twice."""

    store: Store
    sequence: np.ndarray  # (E,) which stored sequence
    side: np.ndarray  # (E,)


class Relations(NamedTuple):
    """Entries that have a homologous one, each with its closest; entries are counted through all parts."""

    entry: np.ndarray  # (M,)
    partner: np.ndarray  # (M,) always of a training row
    kind: np.ndarray  # (M,) index into KINDS
    offset: np.ndarray  # (M,) where the partner's first stored base lies, counted from the entry's
    flipped: np.ndarray  # (M,) bool: the partner is read on the other strand
    overlap: np.ndarray  # (M,) bases that lie on each other, those of constant flanks left out
    matches: np.ndarray  # (M,) of these, how many are equal


def part_of(store: Store, side: np.ndarray) -> tuple[Part, np.ndarray]:
    """Return a store's entries and which of them each row reads (N,); side (N,) says where a row stands."""
    sequence = store.sequence_of(np.arange(len(store)))
    width = int(side.max()) + 2
    found, entry = np.unique(sequence.astype(np.int64) * width + side + 1, return_inverse=True)
    return Part(store, found // width, found % width - 1), entry


class Homology(NamedTuple):
    """Who is homologous to whom among the entries."""

    across: Relations  # the closest partners across sides
    anywhere: Relations  # those of training entries on any side
    cluster: np.ndarray  # (E,) homology cluster of every entry


def find_relations(parts: Sequence[Part], advance: Callable[[float], object] | None = None) -> Homology:
    """Find the closest homologous sequence of every entry, and the clusters.

    The sequences of test rows are compared with those of training rows alone. advance is called with the
    number of entries that each piece of the work amounts to.
    """
    cores = pack([Sequences(part.store.tokens, part.store.lengths, part.sequence) for part in parts])
    number = cluster(cores, advance)
    side = np.concatenate([part.side for part in parts])
    across = _Closest(cores, number, side, side != TEST, np.ones(len(side), dtype=bool))
    anywhere = _Closest(cores, number, np.arange(len(side)), side != TEST, side != TEST)
    aligner = _Aligner(parts, cores.lengths)
    return Homology(aligner.align(across), aligner.align(anywhere), number)


class _Closest:
    """The closest partner of every wanted entry: a training entry of another label in its cluster."""

    def __init__(
        self, cores: Cores, number: np.ndarray, label: np.ndarray, is_train: np.ndarray, wanted: np.ndarray
    ) -> None:
        self.cores, self.number, self.label, self.is_train = cores, number, label, is_train
        self.wanted = wanted & ~cores.blank
        count = len(number)
        self.equal, self.partner = np.zeros(count, dtype=np.int64), np.full(count, -1)
        self.offset, self.flipped = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=bool)
        one, other = self._pairs(cores.own, np.arange(count))
        flip = cores.flipped[one] ^ cores.flipped[other]
        self._update(one, other, np.zeros_like(one), flip, np.full(len(one), WHOLE))
        self._compare(lambda mine: [Kmers(mine)])
        self.wanted &= self.partner < 0
        self._compare(spaced)

    def _pairs(self, value: np.ndarray, entry: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return places (M,) of wanted entries (n,) and of a partner of equal value (n,)."""
        order = np.argsort(value, kind="stable")
        mine = entry[order]
        one, other = _partners(value[order], self.label[mine], self.is_train[mine])
        chosen = self.wanted[mine[one]]
        return order[one[chosen]], order[other[chosen]]

    def _compare(self, make: Callable[[Cores], Iterable[Kmers]]) -> None:
        """Compare wanted entries with what shares a k-mer in their cluster."""
        wanted, _ = self._pairs(self.number, np.arange(len(self.number)))
        mine = np.flatnonzero(np.isin(self.number, self.number[wanted]))
        if not len(mine):
            return
        for search in make(self.cores.take(mine)):
            for keys in search.sorted_buckets():
                value, entry, start, flipped = search.read(keys)
                one, other = self._pairs(mix(value ^ mix(self.number[mine[entry]])), mine[entry])
                pairs = _once(*search.lay(entry, start, flipped, one, other))
                found, equal = homologous(search.cores, *pairs, rows=not search.mask)
                here, there, offset, flip = (each[found] for each in pairs)
                self._update(mine[here], mine[there], offset, flip, equal[found])

    def _update(
        self, entry: np.ndarray, partner: np.ndarray, offset: np.ndarray, flip: np.ndarray, equal: np.ndarray
    ) -> None:
        """Take the partners (M,) that are closer than those known; of equally close ones the first."""
        order = np.lexsort((-partner, equal, entry))
        order = order[np.append(entry[order][1:] != entry[order][:-1], True)[: len(order)]]
        order = order[equal[order] > self.equal[entry[order]]]
        mine = entry[order]
        self.equal[mine], self.partner[mine] = equal[order], partner[order]
        self.offset[mine], self.flipped[mine] = offset[order], flip[order]


def _once(
    one: np.ndarray, other: np.ndarray, offset: np.ndarray, flip: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Leave out pairs (M,) that come again."""
    order = np.lexsort((flip, offset, other, one))
    table = np.stack([one, other, offset, flip], axis=1)[order]
    new = np.append(True, (table[1:] != table[:-1]).any(axis=1))[: len(table)]
    return one[order][new], other[order][new], offset[order][new], flip[order][new]


class _Aligner:
    """Lays whole sequences on each other, constant flanks included, to say what kind of pair they are."""

    def __init__(self, parts: Sequence[Part], lengths: np.ndarray) -> None:
        self.parts, self.lengths = parts, lengths
        self.first = np.cumsum([0, *(len(part.sequence) for part in parts)])
        self.flanks = [constant_flanks(part.store.tokens, part.store.lengths) for part in parts]
        self.whole_lengths = np.concatenate([np.asarray(part.store.lengths)[part.sequence] for part in parts])

    def align(self, closest: _Closest) -> Relations:
        """Lay the closest partner of every entry on it."""
        entry = np.flatnonzero(closest.partner >= 0)
        partner, offset, flipped = closest.partner[entry], closest.offset[entry], closest.flipped[entry]
        overlap, matches = np.empty(len(entry), np.int64), np.empty(len(entry), np.int64)
        whole = np.empty(len(entry), dtype=bool)
        step = max(1, BLOCK_BASES // max(part.store.tokens.shape[1] for part in self.parts))
        for start in range(0, len(entry), step):
            rows = slice(start, start + step)
            one, other = self._read(entry[rows]), self._read(partner[rows], flipped[rows])
            overlap[rows], matches[rows] = _overlap(one, other, offset[rows])
            one, other = (
                self._read(entry[rows], cut=False),
                self._read(partner[rows], flipped[rows], cut=False),
            )
            whole[rows] = (one == other).all(axis=1)
        cores = (overlap == self.lengths[entry]) & (overlap == self.lengths[partner])
        equal = matches == overlap
        whole |= cores & equal
        kind = np.select([whole & ~flipped, whole, equal], [0, 1, 2], 3)
        offset = offset + self._cut(entry, False) - self._cut(partner, flipped)
        return Relations(entry, partner, kind, offset, flipped, overlap, matches)

    def _cut(self, entries: np.ndarray, flipped: np.ndarray | bool) -> np.ndarray:
        """Return how many bases were cut off an entry's left end, or off its right where it is flipped."""
        flanks = np.array(self.flanks)[np.searchsorted(self.first, entries, side="right") - 1]
        cut = np.where(flipped, flanks[:, 1], flanks[:, 0])
        return np.where(self.whole_lengths[entries] > flanks.sum(axis=1), cut, 0)

    def _read(
        self, entries: np.ndarray, flipped: np.ndarray | None = None, *, cut: bool = True
    ) -> np.ndarray:
        """Return the tokens of entries in any order (n, L), some of them on the other strand."""
        width = max(part.store.tokens.shape[1] for part in self.parts)
        tokens = np.full((len(entries), width), PAD, dtype=np.uint8)
        lengths = np.empty(len(entries), dtype=np.int64)
        number = np.searchsorted(self.first, entries, side="right") - 1
        for each, part in enumerate(self.parts):
            rows = np.flatnonzero(number == each)
            core, lengths[rows] = self._cores(each, entries[rows] - self.first[each], cut=cut)
            tokens[rows, : part.store.tokens.shape[1]] = core
        if flipped is not None and flipped.any():
            tokens[flipped] = reverse_complement(tokens[flipped], lengths[flipped])
        return tokens

    def _cores(self, number: int, entries: np.ndarray, *, cut: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return tokens and lengths of some entries of a part; constant flanks are cut off, or not."""
        part = self.parts[number]
        sequence = part.sequence[entries]
        left, right = self.flanks[number] if cut else (0, 0)
        return strip(part.store.tokens[sequence], part.store.lengths[sequence], left, right)


def _partners(value: np.ndarray, label: np.ndarray, is_train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return places (M,) with a partner, and of the partner: a training one of equal value, another label.

    values are sorted. The partner is the first training entry of the run, or for those with its label the
    first with another, so that the pairs of a run are no more than its entries.
    """
    count = len(value)
    starts = np.flatnonzero(np.concatenate([[True], value[1:] != value[:-1]]))
    run = np.repeat(np.arange(len(starts)), np.diff(starts, append=count))
    place = np.arange(count)
    first = np.minimum.reduceat(np.where(is_train, place, count), starts)[run]
    alike = label == label[np.minimum(first, count - 1)]
    second = np.minimum.reduceat(np.where(is_train & ~alike, place, count), starts)[run]
    partner = np.where(alike, second, first)
    found = np.flatnonzero(partner < count)
    return found, partner[found]


def _overlap(one: np.ndarray, other: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return overlap and matches (n,) of other laid on one (n, L) at offset (n,)."""
    width = one.shape[1]
    place = np.arange(width) - offset[:, None]
    moved = np.take_along_axis(other, place.clip(0, width - 1), axis=1)
    inside = (place >= 0) & (place < width) & (one < PAD) & (moved < PAD)
    return inside.sum(axis=1), (inside & (one == moved)).sum(axis=1)
