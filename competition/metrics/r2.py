"""The coefficient of determination R2, as scikit-learn's r2_score: the share of the variance explained."""

import math

import numpy as np

from competition.metrics.metric import (
    Metric,
    Weighted,
    centred,
    excess,
    mean_over_targets,
    require_variation,
    scaled,
    spread,
    sum_of_squares,
    variance,
)
from competition.metrics.mse import mse_of_sums


@mean_over_targets
def r2(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Return the share of variance explained, 1 - SSE / SST; negative where it is worse than the mean."""
    require_variation("truth", truth)
    by = excess(truth)
    truth, prediction = scaled(truth, by), scaled(prediction, by)
    return float(1 - sum_of_squares(truth, prediction) / np.float64(spread(truth, truth).truth))


def _weigh(truth: np.ndarray, values: np.ndarray) -> Weighted:
    by = excess(truth)
    errors, around = (scaled(values, by) - scaled(truth, by)) ** 2, centred(truth)

    def score(counts: np.ndarray) -> np.ndarray:
        n = counts.sum(1)
        total = variance(around**2 @ counts.T / n, around @ counts.T / n)
        explained: np.ndarray = 1 - errors @ counts.T / n / total
        return explained

    return score


def _of_sums(offset: np.ndarray, *sums: np.ndarray) -> np.ndarray:
    n, t, tt, *_ = sums
    return np.asarray(1 - mse_of_sums(offset, *sums) / variance(tt / n, t / n))


METRIC = Metric(function=r2, weigh=_weigh, of_sums=_of_sums, direction="maximize", low=-math.inf, high=1.0)
