"""Bootstrap a score or a difference of two: the same resamples of the rows for every submission.

A resample draws as many rows (or groups of dependent rows) as there are, with replacement. It is kept as the
number of times each row came (R, N), so a metric over it is a weighted metric: moments are matrix products,
and ranks are sums along an order that is found once (Efron and Tibshirani 1993, chapter 13).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from competition.data.hashing import hash_text
from competition.metrics.metric import Weighted
from competition.metrics.registry import METRICS

RESAMPLES = 1_000
LEVEL = 0.95  # of an interval
BLOCK_CELLS = 500_000  # counts (resamples times rows) at a time: 4 MB, which caches hold


class Gain(NamedTuple):
    """By how much a second prediction is better than a first; significant: its interval is above 0."""

    value: float
    low: float
    high: float
    significant: bool


def draw_counts(
    num_rows: int,
    *,
    group: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    name: str = "",
) -> Iterator[np.ndarray]:
    """Yield blocks (r, N) of how often each row comes in each of the resamples.

    group (N,) numbers the groups that are drawn whole. The draws depend on (seed, name, resample) alone, so
    that everything scored on the same rows sees the same ones.
    """
    units, unit = num_rows, np.arange(num_rows)
    if group is not None:
        names, unit = np.unique(group, return_inverse=True)
        units = len(names)
    key = int(hash_text([name])[0])
    step = max(1, BLOCK_CELLS // max(num_rows, 1))
    for first in range(0, resamples, step):
        block = np.empty((min(step, resamples - first), num_rows))
        for row, counts in enumerate(block, start=first):
            rng = np.random.default_rng([seed, key, row])
            counts[:] = np.bincount(rng.integers(0, units, units), minlength=units)[unit]
        yield block


def interval(draws: np.ndarray) -> tuple[float, float]:
    """Return the middle 95 % of draws, those without a value left out."""
    low, high = np.nanquantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def bayes_factor(gains: np.ndarray) -> float:
    """Return how many resamples are won for each that is lost, by gains (R,); a tie is half of each."""
    ties = 0.5 * (gains == 0).sum()
    wins, losses = (gains > 0).sum() + ties, (gains < 0).sum() + ties
    return float(wins / losses) if losses else float("inf")


def significantly_better(gains: np.ndarray, tie_bayes_factor: float | None = None) -> bool:
    """Say whether one submission is better than another, by its gains (R,) in the resamples, or they tie.

    They tie where the middle 95 % of the gains includes 0 or, by a challenge's rule, at a small Bayes factor.
    """
    if tie_bayes_factor is not None:
        return bayes_factor(gains) >= tie_bayes_factor
    return interval(gains)[0] > 0


def describe_tie(tie_bayes_factor: float | None) -> str:
    """Say when two submissions tie."""
    if tie_bayes_factor is not None:
        return f"Bayes factor under {tie_bayes_factor:g}"
    return f"the {100 * LEVEL:g} % interval of the difference includes 0"


def false_positive_rate(tie_bayes_factor: float | None) -> float:
    """Return how often one of two that do not differ is called better: its share of wins is then uniform."""
    return 1 - LEVEL if tie_bayes_factor is None else 2 / (1 + tie_bayes_factor)


def to_gain(value: float, gains: np.ndarray) -> Gain:
    """Return a gain of this value, with its interval by resamples (R,)."""
    return Gain(value, *interval(gains), significantly_better(gains))


def resample(
    metric: str, truth: np.ndarray, predictions: Sequence[np.ndarray], blocks: Iterator[np.ndarray]
) -> np.ndarray:
    """Return the metric (S, R) of each prediction (N, T) in each resample; the mean over targets.

    A target's unknown rows (NaN) count for nothing; NaN where a resample has no value for the metric.
    """
    score = prepare(metric, truth, predictions)
    return np.concatenate([score(block).mean(axis=0) for block in blocks], axis=1)


def prepare(metric: str, truth: np.ndarray, predictions: Sequence[np.ndarray]) -> Weighted:
    """Return what gives the metric (T, S, r) of each target of each prediction (N, T) for counts (r, N)."""
    sides = []
    for t in range(truth.shape[1]):
        known = ~np.isnan(truth[:, t])
        values = np.stack([p[known, t] for p in predictions]).astype(np.float64)
        weigh = METRICS[metric].weigh(truth[known, t].astype(np.float64), values)
        sides.append((known, bool(known.all()), weigh))

    def score(counts: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.stack([weigh(counts if whole else counts[:, known]) for known, whole, weigh in sides])

    return score


def paired_gain(
    metric: str,
    target: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    *,
    higher_is_better: bool,
    group: np.ndarray | None = None,
    seed: int = 0,
) -> Gain:
    """Return the gain of second over first (N, T) on the same rows, positive where second is better.

    Whole groups (N,) are drawn where they are given. The interval holds the middle 95 % of 1,000 resamples.
    """
    sign = 1 if higher_is_better else -1
    plain = resample(metric, target, [first, second], iter([np.ones((1, len(target)))]))[:, 0]
    draws = resample(metric, target, [first, second], draw_counts(len(target), group=group, seed=seed))
    return to_gain(float(sign * (plain[1] - plain[0])), sign * (draws[1] - draws[0]))
