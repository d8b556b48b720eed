"""Find near-duplicate sequences, so that relatives never sit on both sides of a fold.

Two sequences are relatives when one is the other (on either strand) or when they share a stretch of bases at
any offset, on either strand: 20 bases where there are at most 200,000 sequences, 30 beyond, where only the
minimizers of each sequence are compared (Roberts et al., Bioinformatics 2004: any shared stretch of k + w - 1
bases holds a common one). The constant parts of a reporter construct, and stretches of low complexity such as
poly-A, join nothing.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from competition.data.hashing import hash_either_strand, mix
from competition.data.tokens import PAD

K = 20  # bases: one chance match in 2 x 4^20 = 10^12 pairs of stretches
WINDOW = 11  # stretches of which the smallest hash is kept
EXACT_SEQUENCES = 200_000
MIN_TRIPLETS = 9  # of 18: random 20-mers have 16 different ones, poly-A 1, a dinucleotide repeat 2
FLANK_SHARE = 0.8  # of the sequences have the same base in a column of the constant flank
MIN_SEQUENCES = 20  # fewer cannot tell a flank from a family
BLOCK_BASES = 2**18  # a block's stretches stay in a core's cache
BUCKETS = 16  # sorted one by one, to bound memory
NOTHING = np.uint64(2**64 - 1)


def relatives(tokens: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each sequence its family's number (N,) int64 and its own hash (N,) uint64.

    tokens (N, L) uint8 left-aligned, lengths (N,). The hash is of the sequence without the constant flanks
    and is the same for both strands.
    """
    left, right = constant_flanks(tokens, lengths)
    exact = len(tokens) <= EXACT_SEQUENCES
    hashes: list[np.ndarray] = []
    buckets: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(BUCKETS)]
    step = max(1, BLOCK_BASES // tokens.shape[1])
    for start in range(0, len(tokens), step):
        stop = start + step
        core, core_lengths = strip(tokens[start:stop], lengths[start:stop], left, right)
        hashes.append(hash_either_strand(core, core_lengths))
        row, _, values, _ = signatures(core, exact)
        highest = values >> np.uint64(60)
        for number in range(BUCKETS):
            mine = highest == number
            buckets[number].append((values[mine], (row[mine] + start).astype(np.int32)))
    own = np.concatenate(hashes)
    pairs = [chain(own, np.arange(len(own), dtype=np.int32))]
    for bucket in buckets:
        values, rows = (np.concatenate(parts) for parts in zip(*bucket, strict=True))
        pairs.append(chain(values, rows))
        bucket.clear()
    return components(pairs, len(tokens)), own


def components(pairs: list[np.ndarray], count: int) -> np.ndarray:
    """Number the connected components of count things joined by pairs [(2, M), ...]: (count,) int64."""
    first, second = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def chain(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return pairs (2, M) of rows that chain all rows with the same value."""
    order = np.argsort(values, kind="stable")
    values, rows = values[order], rows[order]
    same = np.flatnonzero((values[1:] == values[:-1]) & (rows[1:] != rows[:-1]))
    return np.stack([rows[same], rows[same + 1]])


def constant_flanks(
    tokens: np.ndarray, lengths: np.ndarray, *, share: float = FLANK_SHARE
) -> tuple[int, int]:
    """Return how many bases at the left and at the right end this share of sequences has in common.

    The ends of a reporter construct are the same in every row and tell nothing about kinship. Where too
    little would be left to compare, the sequences are one family and nothing is taken for a flank.
    """
    if len(tokens) < MIN_SEQUENCES:
        return 0, 0
    sample = np.linspace(0, len(tokens) - 1, min(len(tokens), 20_000)).astype(np.int64)
    tokens, lengths = np.asarray(tokens[sample]), np.asarray(lengths[sample], dtype=np.int64)
    shortest, row = int(lengths.min()), np.arange(len(sample))
    left = _constant((tokens[:, column] for column in range(shortest)), share)
    right = _constant((tokens[row, lengths - 1 - column] for column in range(shortest)), share)
    return (left, right) if left + right + K <= np.median(lengths) else (0, 0)


def _constant(columns: Iterator[np.ndarray], share: float) -> int:
    for number, column in enumerate(columns):
        if np.bincount(column, minlength=16)[:4].max() <= share * len(column):
            return number
    return 2**31


def strip(tokens: np.ndarray, lengths: np.ndarray, left: int, right: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut bases off both ends of left-aligned tokens (N, L); what is too short to cut stays whole."""
    lengths = np.asarray(lengths, dtype=np.int64)
    if left == right == 0:
        return np.asarray(tokens), lengths
    long = lengths > left + right
    start = np.where(long, left, 0)[:, None]
    kept = np.where(long, lengths - left - right, lengths)
    column = np.arange(tokens.shape[1])
    moved = np.take_along_axis(np.asarray(tokens), (column + start).clip(max=tokens.shape[1] - 1), 1)
    return np.where(column < kept[:, None], moved, np.uint8(PAD)), kept


class Signatures(NamedTuple):
    """The stretches that are compared, each (M,)."""

    row: np.ndarray
    start: np.ndarray  # of its first base
    hash: np.ndarray  # uint64
    flipped: np.ndarray  # bool: it was hashed as it reads on the other strand


def signatures(tokens: np.ndarray, exact: bool) -> Signatures:
    """Return the stretches of tokens (N, L) that are compared: all, or those smallest in some window."""
    hashes, flipped = stretch_hashes(tokens)
    keep = hashes != NOTHING
    if not exact and hashes.shape[1]:
        width = min(WINDOW, hashes.shape[1])
        smallest = np.pad(_slide(hashes, width, np.minimum, 1), ((0, 0), (width - 1, width - 1)))
        keep &= hashes == _slide(smallest, width, np.maximum, 1)
    row, start = np.nonzero(keep)
    return Signatures(row, start, hashes[keep], flipped[keep])


def stretch_hashes(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hash every stretch of K bases, the same for both strands: (N, L - K + 1) uint64.

    NOTHING where a stretch holds anything but A, C, G and T or is of low complexity. The second array says
    which stretches were hashed as they read on the other strand.
    """
    if tokens.shape[1] < K:
        return np.empty((len(tokens), 0), dtype=np.uint64), np.empty((len(tokens), 0), dtype=bool)
    base = (tokens & 3).astype(np.uint64)
    forward, backward = _spell(base, K), _spell(np.uint64(3) - base, K, backward=True)
    triplets = np.uint64(1) << _spell(base, 3)
    rich = np.bitwise_count(_slide(triplets, K - 2, np.bitwise_or, 1)) >= MIN_TRIPLETS
    legal = _slide(tokens < 4, K, np.logical_and, 1)
    hashes = np.where(rich & legal, mix(np.minimum(forward, backward)), NOTHING)
    return hashes, backward < forward


def _spell(base: np.ndarray, length: int, *, backward: bool = False) -> np.ndarray:
    """Pack each stretch of bases (N, L) uint64 into 2 bits a base, by doubling: (N, L - length + 1).

    The first base is the highest, or backward the lowest.
    """
    if length == 1:
        return base
    half = 1 << (length - 1).bit_length() - 1
    first = _spell(base, half, backward=backward)
    second = first if 2 * half == length else _spell(base, length - half, backward=backward)
    second = second[:, half:]
    first = first[:, : second.shape[1]]
    if backward:
        first, second, half = second, first, length - half
    return (first << np.uint64(2 * (length - half))) | second


def _slide(values: np.ndarray, width: int, combine: np.ufunc, have: int) -> np.ndarray:
    """Combine each run of width neighbours in a row by doubling: (N, L) -> (N, L - width + 1)."""
    while have < width:
        step = min(have, width - have)
        values = combine(values[:, :-step], values[:, step:])
        have += step
    return values
