"""The constant ends of a reporter construct, which are the same in every row and no sign of homology."""

from collections.abc import Iterator

import numpy as np

from competition.data.tokens import PAD

K = 20  # bases of a k-mer: one chance match in 10^12 pairs
FLANK_SHARE = 0.8  # of the sequences have the same base in a column of the constant flank
MIN_SEQUENCES = 20  # fewer cannot tell a flank from a cluster


def constant_flanks(
    tokens: np.ndarray, lengths: np.ndarray, *, share: float = FLANK_SHARE
) -> tuple[int, int]:
    """Return how many bases at the left and at the right end this share of sequences has in common.

    The ends of a reporter construct are the same in every row and tell nothing about homology. Where too
    little would be left to compare, the sequences are one cluster and nothing is taken for a flank.
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
    if left == right == 0:
        return np.asarray(tokens), np.asarray(lengths, dtype=np.int64)
    start = np.where(lengths > left + right, left, 0)[:, None]
    kept = core_lengths(lengths, left, right)
    column = np.arange(tokens.shape[1])
    moved = np.take_along_axis(np.asarray(tokens), (column + start).clip(max=tokens.shape[1] - 1), 1)
    return np.where(column < kept[:, None], moved, np.uint8(PAD)), kept


def core_lengths(lengths: np.ndarray, left: int, right: int) -> np.ndarray:
    """Return the lengths (N,) int64 that strip leaves."""
    lengths = np.asarray(lengths, dtype=np.int64)
    return np.where(lengths > left + right, lengths - left - right, lengths)
