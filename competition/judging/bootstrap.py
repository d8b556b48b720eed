"""Tell how sure a score or a difference is: scores over resamples of the rows, the same for everybody.

A resample draws as many rows (or groups of dependent rows) as there are, with replacement. It is kept as the
number of times each row came (R, N), so a metric over it is a weighted metric: moments are matrix products,
and ranks are sums along an order that is found once (Efron and Tibshirani 1993, chapter 13).
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from competition.data.hashing import hash_text
from competition.metrics.metrics import excess, scaled

RESAMPLES = 1_000
LEVEL = 0.95  # of an interval
RANKING = ThreadPoolExecutor(os.cpu_count(), "ranks")  # numpy lets threads run side by side here
BLOCK_CELLS = 500_000  # counts (resamples times rows) at a time: 4 MB, which caches hold
RESOLVED = 1e-14  # of a mean square: less of it than this is rounding, not variance


class Gain(NamedTuple):
    """By how much a second prediction is better than a first, the interval, and whether it surely is."""

    value: float
    low: float
    high: float
    sure: bool


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
    """Return how many resamples are won for each that is lost, by gains (R,); a draw is half of each."""
    draws = 0.5 * (gains == 0).sum()
    wins, losses = (gains > 0).sum() + draws, (gains < 0).sum() + draws
    return float(wins / losses) if losses else float("inf")


def surely_better(gains: np.ndarray, tie_bayes_factor: float | None = None) -> bool:
    """Say whether gains (R,) of the better one over another, each of a resample, are no tie.

    They are one where their middle 95 % holds 0, or by a challenge's rule where their Bayes factor is small.
    """
    if tie_bayes_factor is not None:
        return bayes_factor(gains) >= tie_bayes_factor
    return interval(gains)[0] > 0


def spell_tie(tie_bayes_factor: float | None) -> str:
    """Say what two submissions are that are a tie."""
    if tie_bayes_factor is not None:
        return f"Bayes factor under {tie_bayes_factor:g}"
    return f"the {100 * LEVEL:g} % interval of the difference holds 0"


def to_gain(value: float, gains: np.ndarray) -> Gain:
    """Return the gain of this value with what its resamples (R,) say of it."""
    return Gain(value, *interval(gains), surely_better(gains))


def resample(
    metric: str, truth: np.ndarray, predictions: Sequence[np.ndarray], blocks: Iterator[np.ndarray]
) -> np.ndarray:
    """Return the metric (S, R) of each prediction (N, T) in each resample; the mean over targets.

    A target's unknown rows (NaN) count for nothing; NaN where a resample has no value for the metric.
    """
    score = prepare(metric, truth, predictions)
    return np.concatenate([score(block) for block in blocks], axis=1)


def prepare(metric: str, truth: np.ndarray, predictions: Sequence[np.ndarray]) -> "Weighted":
    """Return what gives the metric (S, r) of each prediction (N, T) for counts (r, N)."""
    sides = []
    for t in range(truth.shape[1]):
        known = ~np.isnan(truth[:, t])
        values = np.stack([p[known, t] for p in predictions]).astype(np.float64)
        weigh = WEIGHTED[metric](truth[known, t].astype(np.float64), values)
        sides.append((known, bool(known.all()), weigh))

    def score(counts: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            values = [weigh(counts if whole else counts[:, known]) for known, whole, weigh in sides]
        return np.mean(values, axis=0)

    return score


Weighted = Callable[[np.ndarray], np.ndarray]  # counts (r, N) -> values (S, r)


def variance(square: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return a mean square less the squared mean; NaN where that is nothing but rounding."""
    value = square - mean**2
    return np.where(value > RESOLVED * square, value, np.nan)


def _correlation(truth: np.ndarray, values: np.ndarray) -> Weighted:
    truth, values = _centred(truth), _centred(values)
    columns = np.concatenate([[np.ones_like(truth), truth, truth**2], values, values**2, values * truth])

    def score(counts: np.ndarray) -> np.ndarray:
        sums = columns @ counts.T
        n, t, tt = sums[:3]
        p, pp, tp = np.split(sums[3:], 3)
        product = tp / n - p * t / n**2
        return product / np.sqrt(variance(tt / n, t / n) * variance(pp / n, p / n))

    return score


def _centred(values: np.ndarray) -> np.ndarray:
    """Return values (..., N) around their mean, in a range where they can be squared."""
    values = scaled(values, excess(values))
    return np.asarray(values - values.mean(-1, keepdims=True))


def _squared(truth: np.ndarray, values: np.ndarray) -> Weighted:
    correlation = _correlation(truth, values)
    return lambda counts: correlation(counts) ** 2


def _mean_of(loss: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray, np.ndarray], Weighted]:
    def weigh(truth: np.ndarray, values: np.ndarray) -> Weighted:
        losses = loss(values - truth)
        return lambda counts: losses @ counts.T / counts.sum(1)

    return weigh


def _explained(truth: np.ndarray, values: np.ndarray) -> Weighted:
    by = excess(truth)
    errors, centred = (scaled(values, by) - scaled(truth, by)) ** 2, _centred(truth)

    def score(counts: np.ndarray) -> np.ndarray:
        n = counts.sum(1)
        return 1 - errors @ counts.T / n / variance(centred**2 @ counts.T / n, centred @ counts.T / n)

    return score


class _Ranked(NamedTuple):
    """The order of the rows by one value; equal values form one run."""

    order: np.ndarray  # (N,)
    runs: tuple[np.ndarray, np.ndarray] | None  # start and end of each row's run, in order; None without ties

    @classmethod
    def of(cls, values: np.ndarray) -> "_Ranked":
        order = np.argsort(values, kind="stable")
        new = np.concatenate([[True], np.diff(values[order]) != 0])
        if new.all():
            return cls(order, None)
        starts, run = np.flatnonzero(new), np.cumsum(new) - 1
        return cls(order, (starts[run], np.append(starts[1:], len(values))[run]))

    def ranks(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return counts and mean ranks (r, N), around their middle, of the rows in this order."""
        mine = np.take(counts, self.order, axis=1)
        total = np.cumsum(mine, axis=1)
        middle = total[:, -1:] / 2  # and a half, which is the mean rank of any sample
        if self.runs is None:
            total -= mine / 2
            total -= middle
            return mine, total
        before = np.concatenate([np.zeros_like(total[:, :1]), total], axis=1)
        return mine, (np.take(before, self.runs[0], 1) + np.take(before, self.runs[1], 1)) / 2 - middle


def _rank_correlation(truth: np.ndarray, values: np.ndarray) -> Weighted:
    own, others = _Ranked.of(truth), [_Ranked.of(each) for each in values]
    place = np.empty_like(own.order)
    place[own.order] = np.arange(len(truth))

    def score(counts: np.ndarray) -> np.ndarray:
        mine, t = own.ranks(counts)
        mine *= t
        spread = np.einsum("rn,rn->r", mine, t)
        mine = np.take(mine, place, axis=1)  # in the order of the rows

        def against(other: _Ranked) -> np.ndarray:
            weight, p = other.ranks(counts)
            product = np.einsum("rn,rn->r", np.take(mine, other.order, axis=1), p)
            weight *= p
            with np.errstate(divide="ignore", invalid="ignore"):  # of this thread
                return np.asarray(product / np.sqrt(spread * np.einsum("rn,rn->r", weight, p)))

        return np.stack(list(RANKING.map(against, others)))

    return score


def _area(truth: np.ndarray, values: np.ndarray) -> Weighted:
    positive, others = truth == 1, [_Ranked.of(each) for each in values]

    def score(counts: np.ndarray) -> np.ndarray:
        ones = counts[:, positive].sum(1)
        zeros = counts.sum(1) - ones
        above = []
        for other in others:
            weight, p = other.ranks(counts)
            mine = positive[other.order]
            above.append((weight[:, mine] * p[:, mine]).sum(1))
        return np.stack(above) / (ones * zeros) + 0.5

    return score


WEIGHTED: dict[str, Callable[[np.ndarray, np.ndarray], Weighted]] = {
    "pearson": _correlation,
    "spearman": _rank_correlation,
    "mse": _mean_of(np.square),
    "mae": _mean_of(np.abs),
    "r2": _squared,
    "R2": _explained,
    "auroc": _area,
}


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
