"""The squared Pearson correlation, which many papers call r2."""

import numpy as np

from competition.metrics.metric import Metric, Weighted, mean_over_targets, require_variation
from competition.metrics.pearson import correlation, pearson_of_sums, weigh_pearson


@mean_over_targets
def pearson_r2(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Return the squared Pearson correlation: blind to the scale and the sign of the prediction."""
    require_variation("truth", truth)
    require_variation("prediction", prediction)
    return correlation(truth, prediction) ** 2


def _weigh(truth: np.ndarray, values: np.ndarray) -> Weighted:
    weighted = weigh_pearson(truth, values)
    return lambda counts: weighted(counts) ** 2


METRIC = Metric(
    function=pearson_r2,
    weigh=_weigh,
    of_sums=lambda offset, *sums: pearson_of_sums(offset, *sums) ** 2,
    square_of="pearson",
    direction="maximize",
    low=0.0,
    high=1.0,
)
