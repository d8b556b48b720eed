"""Exact figures of merit: float64 sums over the rows whose truth is known.

Every metric takes truth and prediction, both (N,) or both (N, T), and returns the mean over the targets.
NaN in truth marks an unknown row, left out of its target alone. A correlation with something that does not
vary has no value: that raises, it is never NaN and never 0.
"""

import math
from collections.abc import Callable, Iterator
from functools import wraps
from typing import NamedTuple

import numpy as np

from competition.base.errors import InputError

BLOCK_ROWS = 16_384  # two float64 blocks stay in a core's cache; memory does not grow with the rows
SAFE_EXPONENT = 128  # of two: fourth powers of such numbers, and of what two of them differ by, are in range

Function = Callable[[np.ndarray, np.ndarray], float]


class UndefinedMetric(InputError):
    """A metric has no value here: fewer than two rows are known, or one side does not vary."""


class Metric(NamedTuple):
    """A metric, which way is better, and its range."""

    function: Function
    direction: str  # "maximize" or "minimize"
    low: float
    high: float


class Spread(NamedTuple):
    """Centred sums of squares and products over n rows, of both sides as scaled brings them in range."""

    truth: float
    prediction: float
    product: float


def _mean_over_targets(of_one: Function) -> Function:
    """Make a metric of one target, given its known rows, into a metric of (N,) or (N, T)."""

    @wraps(of_one)
    def metric(truth: np.ndarray, prediction: np.ndarray) -> float:
        truth, prediction = _columns(truth, prediction)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            values = [of_one(*_known(t, p)) for t, p in zip(truth.T, prediction.T, strict=True)]
        value = math.fsum(values) / len(values)
        if not math.isfinite(value):
            raise InputError(f"{of_one.__name__}: the numbers are too large or too small for float64")
        return value

    return metric


def _columns(truth: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    if truth.shape != prediction.shape or truth.ndim not in (1, 2) or truth.shape[1:] == (0,):
        raise InputError(
            f"truth is {truth.shape} and prediction {prediction.shape}; wanted the same shape, (N,) or (N, T)"
        )
    finite = np.isfinite(prediction)
    if not finite.all():
        row = int(np.argwhere(~finite)[0, 0])
        raise InputError(
            f"{int((~finite).sum()):,} predictions are not finite "
            f"(row {row}: {prediction[row]}); wanted finite numbers"
        )
    return (truth[:, None], prediction[:, None]) if truth.ndim == 1 else (truth, prediction)


def _known(truth: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    known = ~np.isnan(truth)
    if not known.all():
        truth, prediction = truth[known], prediction[known]
    if len(truth) < 2:
        raise UndefinedMetric(f"the truth of {len(truth)} rows is known; wanted at least 2")
    if np.isinf(truth).any():
        raise InputError("the truth holds an infinite value; wanted finite numbers, or NaN where unknown")
    return truth, prediction


def _blocks(truth: np.ndarray, prediction: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, len(truth), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        yield truth[rows].astype(np.float64), prediction[rows].astype(np.float64)


def excess(values: np.ndarray) -> np.ndarray:
    """Return e (..., 1) for values (..., N) whose largest is too large or too small to be squared, or else 0.

    ldexp(values, -e) then lie between -1 and 1, and those that differ do so by 2**-54 or more. Nothing is
    lost, as the factor is a power of two.
    """
    ends = [end(-1, keepdims=True).astype(np.float64) for end in (values.min, values.max)]
    power = np.frexp(np.abs(ends).max(0))[1]
    return np.where(np.abs(power) > SAFE_EXPONENT, power, 0)


def scaled(values: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Return values (..., N) over two to the power of by (..., 1); themselves where that is one."""
    return np.ldexp(values.astype(np.float64), -by) if by.any() else values


def _spread(truth: np.ndarray, prediction: np.ndarray) -> Spread:
    """Sum centred squares and products; the last term corrects the rounding of the two means."""
    truth, prediction = scaled(truth, excess(truth)), scaled(prediction, excess(prediction))
    means = truth.mean(dtype=np.float64), prediction.mean(dtype=np.float64)
    t_sum = p_sum = tt = pp = tp = np.float64(0)
    for t, p in _blocks(truth, prediction):
        t -= means[0]
        p -= means[1]
        t_sum, p_sum = t_sum + t.sum(), p_sum + p.sum()
        tt, pp, tp = tt + t @ t, pp + p @ p, tp + t @ p
    n = len(truth)
    return Spread(tt - t_sum * t_sum / n, pp - p_sum * p_sum / n, tp - t_sum * p_sum / n)


def _wants_variation(name: str, values: np.ndarray) -> None:
    if values.min() == values.max():
        raise UndefinedMetric(f"the {name} is constant ({values[0]:.9g} in {len(values):,} rows)")


def _correlation(truth: np.ndarray, prediction: np.ndarray) -> float:
    spread = _spread(truth, prediction)
    # sqrt(s * s) is s to the last bit, so that a perfect prediction scores exactly 1
    r = spread.product / np.sqrt(spread.truth * spread.prediction)
    return float(np.clip(r, -1.0, 1.0))


@_mean_over_targets
def pearson(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Return Pearson's correlation."""
    _wants_variation("truth", truth)
    _wants_variation("prediction", prediction)
    return _correlation(truth, prediction)


@_mean_over_targets
def spearman(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Return Spearman's correlation: Pearson's of the ranks, where equal values share their mean rank."""
    _wants_variation("truth", truth)
    _wants_variation("prediction", prediction)
    return _correlation(ranks(truth), ranks(prediction))


@_mean_over_targets
def mse(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Return the mean squared error."""
    return _sum_of_squares(truth, prediction) / len(truth)


@_mean_over_targets
def mae(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Return the mean absolute error."""
    return math.fsum(np.abs(t - p).sum() for t, p in _blocks(truth, prediction)) / len(truth)


@_mean_over_targets
def r2(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Return the squared Pearson correlation: blind to the scale and the sign of the prediction."""
    _wants_variation("truth", truth)
    _wants_variation("prediction", prediction)
    return _correlation(truth, prediction) ** 2


@_mean_over_targets
def R2(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Return the share of variance explained, 1 - SSE / SST; it is negative below the mean's."""
    _wants_variation("truth", truth)
    by = excess(truth)
    truth, prediction = scaled(truth, by), scaled(prediction, by)
    return float(1 - _sum_of_squares(truth, prediction) / np.float64(_spread(truth, truth).truth))


@_mean_over_targets
def auroc(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Return the area under the ROC curve: the share of pairs of a 1 and a 0 in order, ties half."""
    _wants_variation("truth", truth)
    positive = truth == 1
    if not (positive | (truth == 0)).all():
        other = truth[~positive & (truth != 0)][0]
        raise InputError(f"auroc: the truth holds {other:.9g}; wanted 0 and 1")
    num_positive = int(positive.sum())
    above = ranks(prediction)[positive].sum() - num_positive * (num_positive + 1) / 2
    return float(above / (num_positive * (len(truth) - num_positive)))


def _sum_of_squares(truth: np.ndarray, prediction: np.ndarray) -> float:
    return math.fsum((error := t - p) @ error for t, p in _blocks(truth, prediction))


def ranks(values: np.ndarray) -> np.ndarray:
    """Rank values (N,) from 1; equal values share the mean of their ranks, which is exact in float64."""
    order = np.argsort(values)
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(starts, append=len(values))
    result = np.empty(len(values), dtype=np.float64)
    result[order] = np.repeat(starts + (counts + 1) / 2, counts)
    return result


METRICS = {
    "pearson": Metric(pearson, "maximize", -1.0, 1.0),
    "spearman": Metric(spearman, "maximize", -1.0, 1.0),
    "mse": Metric(mse, "minimize", 0.0, math.inf),
    "r2": Metric(r2, "maximize", 0.0, 1.0),
    "R2": Metric(R2, "maximize", -math.inf, 1.0),
    "mae": Metric(mae, "minimize", 0.0, math.inf),
    "auroc": Metric(auroc, "maximize", 0.0, 1.0),
}


def fitting(truth: np.ndarray) -> dict[str, Metric]:
    """Return the metrics that have a meaning for truth (N, T): auroc where all that is known is 0 or 1."""
    is_label = bool(((truth == 0) | (truth == 1) | np.isnan(truth)).all())
    return {name: metric for name, metric in METRICS.items() if is_label or name != "auroc"}
