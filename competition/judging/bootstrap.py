"""Tell how sure a difference is: a paired bootstrap over rows, or over groups of dependent rows."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

RESAMPLES = 1_000
LEVEL = 0.95  # of the interval


class Gain(NamedTuple):
    """By how much a second prediction is better than a first, and the interval that the rows allow."""

    value: float
    low: float
    high: float


def paired_gain(
    metric: Callable[[np.ndarray, np.ndarray], float],
    target: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    *,
    higher_is_better: bool,
    group: np.ndarray | None = None,
    seed: int = 0,
) -> Gain:
    """Return the gain of second over first (N, T) on the same rows, positive where second is better.

    Whole groups (N,) are drawn with replacement where they are given; both sides see the same draws. The
    interval holds the middle 95 % of 1,000 draws.
    """
    sign = 1 if higher_is_better else -1

    def gain(rows: np.ndarray) -> float:
        return sign * (metric(target[rows], second[rows]) - metric(target[rows], first[rows]))

    rng, parts = np.random.default_rng(seed), _parts(len(target), group)
    draws = [gain(np.concatenate(parts[rng.integers(0, len(parts), len(parts))])) for _ in range(RESAMPLES)]
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Gain(gain(np.arange(len(target))), float(low), float(high))


def _parts(count: int, group: np.ndarray | None) -> np.ndarray:
    """Return an array of row arrays, one a group."""
    rows = np.arange(count)
    if group is not None:
        order = np.argsort(group, kind="stable")
        cuts = np.flatnonzero(np.diff(group[order])) + 1
        pieces = np.split(rows[order], cuts)
    else:
        pieces = np.split(rows, count)
    parts = np.empty(len(pieces), dtype=object)
    parts[:] = pieces
    return parts
