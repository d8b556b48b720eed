"""Sequences without their constant flanks, a bit a base, and how well two of them lie on each other.

Two sequences are homologous when they share 30 bases in a row, or at one offset four fifths of at least 40
overlapping bases, on either strand. Bases of low complexity, such as those of poly-A, do not count, unless a
k-mer beside them is shared. Of long sequences a tenth of the shorter must be shared in a row, so that a
repeat in 10 kb is no homology.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from competition.data.flanks import K, constant_flanks, core_lengths, strip
from competition.data.hashing import hash_tokens
from competition.data.tokens import PAD, N, reverse_complement

MIN_TRIPLETS = 9  # of 18: random 20-mers have 16 different ones, poly-A 1, a dinucleotide repeat 2
ROW, ROW_SHARE = 30, 0.1  # bases in a row, or this share of the shorter sequence where that is more
OVERLAP, IDENTITY = 40, 0.8  # bases that overlap, and the share of them that is equal
BLOCK_BASES = 2**18  # packed at a time: a block stays in a core's cache
BLOCK_WORDS = 2**17  # compared at a time
SAMPLE_WORDS = 64  # of longer sequences are looked at first: a tenth in a row holds six of them
LIKELY = 0.6  # of the bases in them are equal; of unrelated ones a quarter, of homologous ones four fifths
BASE, RICH, HIGH, LOW = range(4)
REVERSED = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little"))


class Sequences(NamedTuple):
    """Stored sequences, or some of them in a certain order."""

    tokens: np.ndarray  # (S, L) uint8, left-aligned
    lengths: np.ndarray  # (S,)
    chosen: np.ndarray | None = None  # (E,) which of them; None for all

    def __len__(self) -> int:
        return len(self.lengths) if self.chosen is None else len(self.chosen)


class Cores(NamedTuple):
    """E packed sequences: base i is bit i % 64 of word i // 64; the last of W + 1 words is empty."""

    # (2, E, 4, W + 1) uint64, a copy for each strand: what is a base, what counts, higher and lower bit
    planes: np.ndarray
    lengths: np.ndarray  # (E,) int64
    own: np.ndarray  # (E,) uint64 hash, the same for both strands
    flipped: np.ndarray  # (E,) bool: it is the hash of the other strand
    blank: np.ndarray  # (E,) bool: there is no base in it

    def take(self, entries: np.ndarray) -> "Cores":
        """Return some of the sequences."""
        return Cores(self.planes[:, entries], *(values[entries] for values in self[1:]))

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the first entry and the bases (n, 64 W) uint8 of blocks; PAD where a base does not count."""
        width = 64 * (self.planes.shape[3] - 1)
        step = max(1, BLOCK_BASES // width)
        for start in range(0, len(self.lengths), step):
            words = np.ascontiguousarray(self.planes[0, start : start + step, :, :-1])
            bits = np.unpackbits(words.view(np.uint8), axis=2, bitorder="little")[:, :, : self.lengths.max()]
            yield start, np.where(bits[:, RICH], bits[:, HIGH] << 1 | bits[:, LOW], np.uint8(PAD))


def pack(parts: Sequence[Sequences]) -> Cores:
    """Pack the sequences of all parts, one after the other; each part has constant flanks of its own."""
    flanks = [constant_flanks(part.tokens, part.lengths) for part in parts]
    longest = max(
        int(core_lengths(part.lengths, *ends).max()) for part, ends in zip(parts, flanks, strict=True)
    )
    count = sum(map(len, parts))
    planes = np.zeros((2, count, 4, -(-longest // 64) + 1), dtype=np.uint64)
    lengths, own = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.uint64)
    flipped, blank = np.empty(count, dtype=bool), np.empty(count, dtype=bool)
    first = 0
    for part, ends in zip(parts, flanks, strict=True):
        step = max(1, BLOCK_BASES // part.tokens.shape[1])
        for start in range(0, len(part), step):
            chosen = np.arange(start, min(start + step, len(part)))
            rows = slice(first, first := first + len(chosen))
            chosen = chosen if part.chosen is None else part.chosen[chosen]
            tokens, lengths[rows] = strip(part.tokens[chosen], part.lengths[chosen], *ends)
            here, there = hash_tokens(tokens), hash_tokens(reverse_complement(tokens, lengths[rows]))
            own[rows], flipped[rows] = np.minimum(here, there), there < here
            blank[rows] = ~(tokens < N).any(axis=1)
            planes[0, rows, :, :-1] = _to_bits(tokens[:, :longest], planes.shape[3] - 1)
            planes[1, rows, :, :-1] = _turn(planes[0, rows, :, :-1], lengths[rows])
    return Cores(planes, lengths, own, flipped, blank)


def _to_bits(tokens: np.ndarray, words: int) -> np.ndarray:
    """Return tokens (n, L) as bits (n, 4, W) uint64."""
    bits = np.stack([tokens < N, rich_bases(tokens), tokens & 2, tokens & 1], axis=1)
    packed = np.packbits(bits, axis=2, bitorder="little")
    return np.pad(packed, ((0, 0), (0, 0), (0, 8 * words - packed.shape[2]))).view("<u8")


def _turn(bits: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return bits (n, 4, W) as they are on the other strand, left-aligned."""
    turned = REVERSED[np.ascontiguousarray(bits).view(np.uint8)[:, :, ::-1]].view(np.uint64)
    turned[:, HIGH:] = ~turned[:, HIGH:]  # A, C, G and T are 0 to 3
    empty = 64 * bits.shape[2] - lengths
    return np.stack([_advance(turned[:, plane], empty) for plane in range(4)], axis=1)


def rich_bases(tokens: np.ndarray) -> np.ndarray:
    """Return which bases of tokens (N, L) lie in a k-mer of A, C, G and T that is not of low complexity."""
    if tokens.shape[1] < K:
        return np.zeros(tokens.shape, dtype=bool)
    triplets = (tokens[:, :-2] & 3) << 4 | (tokens[:, 1:-1] & 3) << 2 | tokens[:, 2:] & 3
    seen = slide(np.uint64(1) << triplets.astype(np.uint64), K - 2, np.bitwise_or)
    rich = (np.bitwise_count(seen) >= MIN_TRIPLETS) & slide(tokens < 4, K, np.logical_and)
    return slide(np.pad(rich, ((0, 0), (K - 1, K - 1))), K, np.logical_or)


def slide(values: np.ndarray, width: int, combine: np.ufunc) -> np.ndarray:
    """Combine each run of width neighbours in a row by doubling: (N, L) -> (N, L - width + 1)."""
    have = 1
    while have < width:
        step = min(have, width - have)
        values = combine(values[:, :-step], values[:, step:])
        have += step
    return values


def homologous(
    cores: Cores, one: np.ndarray, other: np.ndarray, offset: np.ndarray, flip: np.ndarray, *, rows: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return which pairs (M,) are homologous, and their matching bases (M,).

    The first base of other, read on the other strand where flip is true, lies offset bases right of that of
    one. Without rows, runs of equal bases do not count, and half the work rules most pairs out.
    """
    found, matches = np.empty(len(one), dtype=bool), np.empty(len(one), dtype=np.int64)
    step = max(1, BLOCK_WORDS // cores.planes.shape[3])
    for start in range(0, len(one), step):
        part = slice(start, start + step)
        pairs = one[part], np.where(flip[part], len(cores.lengths), 0) + other[part], offset[part]
        found[part], matches[part] = (_compare_likely if rows else _compare_overlap)(cores, *pairs)
    return found, matches


def _compare_likely(
    cores: Cores, one: np.ndarray, other: np.ndarray, offset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compare those pairs of long sequences that are somewhat alike in a sample of 64-base blocks."""
    if cores.planes.shape[3] <= SAMPLE_WORDS:
        return _compare(cores, one, other, offset)
    first = offset.clip(min=0) >> 6
    stop = np.minimum(cores.lengths[one], offset + cores.lengths[other % len(cores.lengths)])
    last = (stop.clip(min=1) - 1) >> 6
    column = first[:, None] + (last - first)[:, None] * np.arange(SAMPLE_WORDS) // (SAMPLE_WORDS - 1)
    both, high, low = _lay(cores.planes, (BASE, HIGH, LOW), one, other, offset, column)
    equal = np.bitwise_count(both & ~high & ~low)
    likely = np.flatnonzero((equal.max(axis=1) == 64) | (equal.sum(axis=1) >= LIKELY * _count(both)))
    found, matches = np.zeros(len(one), dtype=bool), np.zeros(len(one), dtype=np.int64)
    found[likely], matches[likely] = _compare(cores, one[likely], other[likely], offset[likely])
    return found, matches


def _compare_overlap(
    cores: Cores, one: np.ndarray, other: np.ndarray, offset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    both, differ = _lay(cores.planes, (RICH, HIGH), one, other, offset)
    bases, most = _count(both), _count(both & ~differ)
    found = (bases >= OVERLAP) & (most >= IDENTITY * bases)
    matches = np.zeros(len(one), dtype=np.int64)
    left = np.flatnonzero(found)
    (low,) = _lay(cores.planes, (LOW,), one[left], other[left], offset[left])
    matches[left] = _count(both[left] & ~differ[left] & ~low)
    return found & (matches >= IDENTITY * bases), matches


def _compare(
    cores: Cores, one: np.ndarray, other: np.ndarray, offset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    both, rich, high, low = _lay(cores.planes, range(4), one, other, offset)
    equal = ~high & ~low
    shorter = np.minimum(cores.lengths[one], cores.lengths[other % len(cores.lengths)])
    row = _longest_row(rich & equal)
    found = row >= np.maximum(ROW, ROW_SHARE * shorter)
    bases, matches = _count(rich), _count(rich & equal)
    found |= (bases >= OVERLAP) & (matches >= IDENTITY * bases)
    # Beside a k-mer in common, which is no chance, bases of low complexity count.
    bases, matches = _count(both), _count(both & equal)
    found |= (row >= K) & (bases >= np.minimum(OVERLAP, shorter)) & (matches >= IDENTITY * bases)
    return found, matches


def _lay(
    planes: np.ndarray,
    numbers: Sequence[int],
    one: np.ndarray,
    other: np.ndarray,
    offset: np.ndarray,
    column: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Return for planes of bits (M, W) where pairs differ, and for the others where both are.

    other counts through both strands; column (M, ...) says which words of one are read, if not all.
    """
    width, words = planes.shape[3] - 1, planes.reshape(-1)
    column = np.arange(width) if column is None else column
    shift = (offset & 63).astype(np.uint64)[:, None]
    place = column - (offset >> 6)[:, None]
    here, before = place.clip(-1, width), (place - 1).clip(-1, width)  # -1 is the empty word before
    found = []
    for number in numbers:
        first = (other * 4 + number)[:, None] * (width + 1)
        moved = words.take(first + here) << shift | _rest(words.take(first + before), shift)
        still = words.take((one * 4 + number)[:, None] * (width + 1) + column)
        found.append(still & moved if number in (BASE, RICH) else still ^ moved)
    return found


def _rest(words: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return the bits that a shift to the left pushes out; in two steps, as a shift by 64 bits is none."""
    rest: np.ndarray = words >> np.uint64(1) >> (np.uint64(63) - shift)
    return rest


def _count(words: np.ndarray) -> np.ndarray:
    count: np.ndarray = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
    return count


def _longest_row(equal: np.ndarray) -> np.ndarray:
    """Return the longest run of ones (M,) in rows of words (M, W), by doubling."""
    levels = [equal]
    while levels[-1].any():
        levels.append(levels[-1] & _advance(levels[-1], np.full(len(equal), 1 << len(levels) - 1)))
    length = np.zeros(len(equal), dtype=np.int64)
    places = np.full_like(equal, 2**64 - 1)
    for number, level in reversed(list(enumerate(levels[:-1]))):
        longer = places & _advance(level, length)
        there = longer.any(axis=1)
        places[there] = longer[there]
        length += np.where(there, 1 << number, 0)
    return length


def _advance(words: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Move the bits of rows of words (M, W) left by offset (M,) of at least 0, towards the first base."""
    width = words.shape[1]
    padded = np.pad(words, ((0, 0), (0, 1)))
    place = np.arange(width) + (offset >> 6)[:, None]
    here, after = (np.take_along_axis(padded, (place + more).clip(max=width), axis=1) for more in (0, 1))
    shift = (offset & 63).astype(np.uint64)[:, None]
    return here >> shift | after << np.uint64(1) << (np.uint64(63) - shift)
