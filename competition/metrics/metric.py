"""What a metric is, and the exact sums that metrics are made of.

A metric's function takes truth and prediction, both (N,) or both (N, T), and returns the mean over the
targets, in float64. NaN in truth marks an unknown row, left out of its target alone. A correlation with
something that does not vary has no value: that raises, it is never NaN and never 0.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import NamedTuple

import numpy as np

from competition.base.errors import InputError

BLOCK_ROWS = 16_384  # two float64 blocks stay in a core's cache; memory does not grow with the rows
SAFE_EXPONENT = 128  # of two: fourth powers of such numbers, and of what two of them differ by, are in range
RESOLVED = 1e-14  # of a mean square: less of it than this is rounding, not variance

Function = Callable[[np.ndarray, np.ndarray], float]
Weighted = Callable[[np.ndarray], np.ndarray]  # counts (r, N) -> values (S, r)
# Truth (N,) and predictions (S, N) of one target, all known -> what scores them for rows that count so often.
Weigh = Callable[[np.ndarray, np.ndarray], Weighted]


class UndefinedMetric(InputError):
    """A metric has no value here: fewer than two rows are known, or one side does not vary."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """All that the kit must know of a metric; a file of this package holds one, called METRIC."""

    function: Function
    weigh: Weigh
    direction: str  # "maximize" or "minimize"
    low: float
    high: float
    unit_power: int = 0  # 1: it has the unit of the target; 2: its square; 0: none
    of_labels: bool = False  # it has a meaning for truth of 0 and 1 alone
    square_of: str = ""  # the metric that it is the square of, whose resamples then serve both
    # A function of how far the prediction's middle is above the truth's, and of six sums over the rows, both
    # sides around their middle: number, truth, its square, prediction, its square and the product.
    of_sums: Callable[..., np.ndarray] | None = None

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.direction == "maximize" else -1

    def unit(self, of_target: str) -> str:
        """Return the unit of a value, from that of the target."""
        return {0: "", 1: of_target, 2: of_target and f"squared {of_target}"}[self.unit_power]


class Spread(NamedTuple):
    """Centred sums of squares and products over n rows, of both sides as scaled brings them in range."""

    truth: float
    prediction: float
    product: float


def mean_over_targets(of_one: Function) -> Function:
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


def blocks(truth: np.ndarray, prediction: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield both in float64, some rows at a time."""
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


def spread(truth: np.ndarray, prediction: np.ndarray) -> Spread:
    """Sum centred squares and products; the last term corrects the rounding of the two means."""
    truth, prediction = scaled(truth, excess(truth)), scaled(prediction, excess(prediction))
    means = truth.mean(dtype=np.float64), prediction.mean(dtype=np.float64)
    t_sum = p_sum = tt = pp = tp = np.float64(0)
    for t, p in blocks(truth, prediction):
        t -= means[0]
        p -= means[1]
        t_sum, p_sum = t_sum + t.sum(), p_sum + p.sum()
        tt, pp, tp = tt + t @ t, pp + p @ p, tp + t @ p
    n = len(truth)
    return Spread(tt - t_sum * t_sum / n, pp - p_sum * p_sum / n, tp - t_sum * p_sum / n)


def require_variation(name: str, values: np.ndarray) -> None:
    """Raise UndefinedMetric where all values are one."""
    if values.min() == values.max():
        raise UndefinedMetric(f"the {name} is constant ({values[0]:.9g} in {len(values):,} rows)")


def positives(name: str, truth: np.ndarray) -> np.ndarray:
    """Return which labels (N,) are 1; InputError where there are not both 0 and 1 and nothing else."""
    require_variation("truth", truth)
    positive: np.ndarray = truth == 1
    other = truth[~positive & (truth != 0)]
    if len(other):
        raise InputError(f"{name}: the truth holds {other[0]:.9g}; wanted 0 and 1")
    return positive


def sum_of_squares(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Return the sum of the squared errors."""
    return math.fsum((error := t - p) @ error for t, p in blocks(truth, prediction))


def centred(values: np.ndarray) -> np.ndarray:
    """Return values (..., N) around their mean, in a range where they can be squared."""
    values = scaled(values, excess(values))
    return np.asarray(values - values.mean(-1, keepdims=True))


def variance(square: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return a mean square less the squared mean; NaN where that is nothing but rounding."""
    value = square - mean**2
    return np.where(value > RESOLVED * square, value, np.nan)


def weighted_mean(loss: Callable[[np.ndarray], np.ndarray]) -> Weigh:
    """Return the weighted form of the mean of a loss, a function of errors."""

    def weigh(truth: np.ndarray, values: np.ndarray) -> Weighted:
        losses = loss(values - truth)
        return lambda counts: losses @ counts.T / counts.sum(1)

    return weigh
