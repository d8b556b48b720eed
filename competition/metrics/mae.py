"""The mean absolute error."""

import math

import numpy as np

from competition.metrics.metric import Metric, blocks, mean_over_targets, weighted_mean


@mean_over_targets
def mae(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Return the mean absolute error."""
    return math.fsum(np.abs(t - p).sum() for t, p in blocks(truth, prediction)) / len(truth)


METRIC = Metric(
    function=mae, weigh=weighted_mean(np.abs), direction="minimize", low=0.0, high=math.inf, unit_power=1
)
