"""The area under the ROC curve."""

import numpy as np

from competition.metrics.metric import Metric, Weighted, mean_over_targets, positives
from competition.metrics.ranking import Ranked, ranks


@mean_over_targets
def auroc(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Return the area under the ROC curve: the share of pairs of a 1 and a 0 in order, ties half."""
    positive = positives("auroc", truth)
    num_positive = int(positive.sum())
    above = ranks(prediction)[positive].sum() - num_positive * (num_positive + 1) / 2
    return float(above / (num_positive * (len(truth) - num_positive)))


def _weigh(truth: np.ndarray, values: np.ndarray) -> Weighted:
    positive, others = truth == 1, [Ranked.of(each) for each in values]

    def score(counts: np.ndarray) -> np.ndarray:
        ones = counts[:, positive].sum(1)
        zeros = counts.sum(1) - ones
        above = []
        for other in others:
            weight, p = other.ranks(counts)
            mine = positive[other.order]
            above.append((weight[:, mine] * p[:, mine]).sum(1))
        area: np.ndarray = np.stack(above) / (ones * zeros) + 0.5
        return area

    return score


METRIC = Metric(function=auroc, weigh=_weigh, direction="maximize", low=0.0, high=1.0, of_labels=True)
