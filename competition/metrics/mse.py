"""The mean squared error."""

import math

import numpy as np

from competition.metrics.metric import Metric, mean_over_targets, sum_of_squares, weighted_mean


@mean_over_targets
def mse(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Return the mean squared error."""
    return sum_of_squares(truth, prediction) / len(truth)


def mse_of_sums(offset: np.ndarray, *sums: np.ndarray) -> np.ndarray:
    """Return the mean squared error by sums over the rows."""
    n, t, tt, p, pp, tp = sums
    return np.asarray((tt - 2 * tp + pp + 2 * offset * (p - t)) / n + offset**2)


METRIC = Metric(
    function=mse,
    weigh=weighted_mean(np.square),
    of_sums=mse_of_sums,
    direction="minimize",
    low=0.0,
    high=math.inf,
    unit_power=2,
)
