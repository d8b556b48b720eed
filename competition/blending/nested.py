"""Score blends by nested folds: the rows of a fold are blended by what the other folds choose."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from competition.blending.blend import (
    METHODS,
    Line,
    Method,
    error_correlation,
    fit_line,
    least_squares,
    mean_weights,
    nested_lines,
    of_size,
)
from competition.blending.moments import Moments, gather
from competition.judging.bootstrap import RESAMPLES, Gain, draw_counts, resample, to_gain
from competition.metrics.registry import METRICS


class NestedScore(NamedTuple):
    """A metric of out-of-fold predictions, and its value in every resample, the same for all."""

    value: float
    draws: np.ndarray  # (R,)


class NestedScorer:
    """Score blends fold by fold: from moments where the metric has a form in them, else from the rows."""

    def __init__(
        self,
        metric: str,
        columns: np.ndarray,
        truth: np.ndarray,
        fold: np.ndarray,
        group: np.ndarray | None = None,
    ) -> None:
        self.metric, self.columns, self.truth, self.fold, self.group = metric, columns, truth, fold, group
        self.moments = gather(columns, truth, fold, group)
        self.counts = np.concatenate(list(draw_counts(len(self.moments.fold), name="chunks")))

    def __call__(self, lines: Sequence[Line]) -> NestedScore:
        """Score predictions that each fold's line makes for its rows."""
        of_sums = METRICS[self.metric].of_sums
        if of_sums is None:
            return self._by_rows(self.predict(lines))
        middle = _middle(self.moments, lines)  # (T,)
        parts = _summarise(self.moments, lines, middle)  # (C, T, 6)
        draws = np.tensordot(self.counts, parts, 1)  # (R, T, 6)
        offset = middle - self.moments.middle[:, -1]
        with np.errstate(divide="ignore", invalid="ignore"):
            value, drawn = (of_sums(offset, *np.moveaxis(each, -1, 0)) for each in (parts.sum(0), draws))
        return NestedScore(float(np.mean(value)), np.mean(drawn, axis=-1))

    def predict(self, lines: Sequence[Line]) -> np.ndarray:
        """Return the predictions (N, T) that each fold's line makes for its rows."""
        predictions = np.empty_like(self.truth)
        for number, line in enumerate(lines):
            rows = self.fold == number
            predictions[rows] = line(self.columns[:, rows])
        return predictions

    def _by_rows(self, predictions: np.ndarray) -> NestedScore:
        value = METRICS[self.metric].function(self.truth, predictions)
        blocks = draw_counts(len(self.truth), group=self.group, resamples=RESAMPLES)
        return NestedScore(value, resample(self.metric, self.truth, [predictions], blocks)[0])


def _middle(moments: Moments, lines: Sequence[Line]) -> np.ndarray:
    """Return the mean (T,) of the predictions that each fold's line makes for its rows."""
    total = np.zeros(len(moments.middle))
    for fold, (weights, shift) in enumerate(lines):
        mine = moments.fold == fold
        each = moments.middle[:, :-1] @ weights + shift
        total += moments.total[mine].sum(0)[:, :-1] @ weights + moments.count[mine].sum() * each
    return np.asarray(total / moments.count.sum())


def _summarise(moments: Moments, lines: Sequence[Line], middle: np.ndarray) -> np.ndarray:
    """Return what Metric.of_sums takes of each chunk (C, T, 6), predictions around their middle (T,).

    Around the truth's, small differences between predictions would be lost.
    """
    found = np.empty((*moments.total.shape[:2], 6))
    for fold, (weights, shift) in enumerate(lines):
        mine = moments.fold == fold
        constant = moments.middle[:, :-1] @ weights + shift - middle  # (T,)
        count, total, products = moments.count[mine, None], moments.total[mine], moments.products[mine]
        linear = total[..., :-1] @ weights
        square = np.einsum("m,ctmk,k->ct", weights, products[..., :-1, :-1], weights, optimize=True)
        p = linear + constant * count
        pp = square + 2 * constant * linear + constant**2 * count
        tp = products[..., :-1, -1] @ weights + constant * total[..., -1]
        n = np.broadcast_to(count, p.shape)
        found[mine] = np.stack([n, total[..., -1], products[..., -1, -1], p, pp, tp], axis=-1)
    return found


class Blend(NamedTuple):
    """One way of weighting and how it does: in sample, and by nested folds."""

    method: str
    line: Line  # by all folds
    lines: tuple[Line, ...]  # of each fold by the others
    in_sample: float
    nested: NestedScore


class BlendComparison(NamedTuple):
    """All ways of weighting, scored on the same resamples."""

    scorer: NestedScorer
    blends: tuple[Blend, ...]  # the plain mean first
    growing: tuple[Blend, ...]  # mean or least squares of one member, of two, ... by what helps most
    best_single: NestedScore
    errors: np.ndarray  # (M, M) correlation

    def gain(self, over: NestedScore, of: NestedScore) -> Gain:
        """Return by how much the second is better than the first, and its interval."""
        sign = METRICS[self.scorer.metric].sign
        return to_gain(sign * (of.value - over.value), sign * (of.draws - over.draws))

    @property
    def best(self) -> Blend:
        """The best by nested folds, whatever its size."""
        plain = self.blends[0].nested
        return max((*self.blends, *self.growing), key=lambda each: self.gain(plain, each.nested).value)

    @property
    def smallest(self) -> Blend:
        """The blend of the fewest members that is not significantly worse than the best."""
        best = self.best.nested
        return next(
            each for each in (*self.growing, self.best) if not self.gain(each.nested, best).significant
        )


def compare_blends(
    metric: str, columns: np.ndarray, truth: np.ndarray, fold: np.ndarray, group: np.ndarray | None = None
) -> BlendComparison:
    """Score every way of weighting members and their rank mean, columns (M + 1, N, T), by nested folds.

    truth (N, T), fold (N,) from 0, group (N,) names of dependent rows.
    """
    scorer = NestedScorer(metric, columns, truth, fold, group)
    num_folds, count = scorer.moments.num_folds, len(columns) - 1
    sign = METRICS[metric].sign

    def blend(name: str, method: Method) -> Blend:
        line, lines = fit_line(scorer.moments, method), nested_lines(scorer.moments, method)
        return Blend(name, line, tuple(lines), scorer([line] * num_folds).value, scorer(lines))

    def blend_of_size(size: int) -> Blend:
        ways = {f"mean of {size}": mean_weights, f"least squares of {size}": least_squares}
        both = [blend(name, partial(of_size, size, method)) for name, method in ways.items()]
        return max(both, key=lambda each: sign * each.nested.value)

    no_shift = np.zeros(truth.shape[1])
    singles = [scorer([Line(row, no_shift)] * num_folds) for row in np.eye(count + 1)[:count]]
    return BlendComparison(
        scorer,
        tuple(blend(name, method) for name, method in METHODS.items()),
        tuple(map(blend_of_size, range(1, count + 1))),
        max(singles, key=lambda each: sign * each.value),
        error_correlation(scorer.moments),
    )


def choose(comparison: BlendComparison, wanted: str) -> Blend:
    """Return the blend of a name; auto: the best that is significantly better than the mean, or the mean."""
    if wanted == "smallest":
        return comparison.smallest
    if wanted != "auto":
        return next(blend for blend in comparison.blends if blend.method == wanted)
    plain = comparison.blends[0]
    blends = (*comparison.blends, *comparison.growing)
    gains = [(comparison.gain(plain.nested, blend.nested), blend) for blend in blends]
    significant = [(gain.value, blend) for gain, blend in gains if gain.significant]
    return max(significant, key=lambda each: each[0], default=(0.0, plain))[1]
