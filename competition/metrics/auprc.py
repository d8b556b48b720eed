"""The area under the precision-recall curve, as scikit-learn's average_precision_score."""

import numpy as np

from competition.metrics.metric import Metric, Weighted, mean_over_targets, positives
from competition.metrics.ranking import Ranked


@mean_over_targets
def auprc(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Return the average precision: over all 1, the precision among the rows predicted as high or higher.

    Equal predictions are one threshold. A prediction that says nothing scores the share of 1.
    """
    positive = positives("auprc", truth)
    return float(_weigh_positives(positive, prediction[None])(np.ones((1, len(truth))))[0, 0])


def _weigh(truth: np.ndarray, values: np.ndarray) -> Weighted:
    return _weigh_positives(truth == 1, values)


def _weigh_positives(positive: np.ndarray, values: np.ndarray) -> Weighted:
    others = [Ranked.of(-each.astype(np.float64)) for each in values]  # the highest comes first

    def score(counts: np.ndarray) -> np.ndarray:
        ones = counts[:, positive].sum(1)
        defined = np.where(ones < counts.sum(1), ones, np.nan)  # as the metric itself, it wants a 0 as well
        return np.stack([_sum_of_precisions(counts, positive, other) / defined for other in others])

    return score


def _sum_of_precisions(counts: np.ndarray, positive: np.ndarray, other: Ranked) -> np.ndarray:
    """Return the precision at each 1, summed over counts (r, N) of the rows."""
    mine, is_one = np.take(counts, other.order, axis=1), positive[other.order]
    ones = np.flatnonzero(is_one)
    last = ones if other.runs is None else other.runs[1][ones] - 1  # of those predicted as high
    above, above_ones = (np.take(np.cumsum(each, axis=1), last, axis=1) for each in (mine, mine * is_one))
    weight = np.take(mine, ones, axis=1)
    precision = np.divide(above_ones, above, out=np.zeros(above.shape), where=above > 0)
    return np.asarray((weight * precision).sum(1))


METRIC = Metric(function=auprc, weigh=_weigh, direction="maximize", low=0.0, high=1.0, of_labels=True)
