"""Spearman's correlation of ranks."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from competition.metrics.metric import Metric, Weighted, mean_over_targets, require_variation
from competition.metrics.pearson import correlation
from competition.metrics.ranking import Ranked, ranks

THREADS = ThreadPoolExecutor(os.cpu_count(), "ranks")  # numpy lets threads run side by side here


@mean_over_targets
def spearman(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Return Spearman's correlation: Pearson's of the ranks, where equal values share their mean rank."""
    require_variation("truth", truth)
    require_variation("prediction", prediction)
    return correlation(ranks(truth), ranks(prediction))


def _weigh(truth: np.ndarray, values: np.ndarray) -> Weighted:
    own, others = Ranked.of(truth), [Ranked.of(each) for each in values]
    place = np.empty_like(own.order)
    place[own.order] = np.arange(len(truth))

    def score(counts: np.ndarray) -> np.ndarray:
        mine, t = own.ranks(counts)
        mine *= t
        spread = np.einsum("rn,rn->r", mine, t)
        mine = np.take(mine, place, axis=1)  # in the order of the rows

        def against(other: Ranked) -> np.ndarray:
            weight, p = other.ranks(counts)
            product = np.einsum("rn,rn->r", np.take(mine, other.order, axis=1), p)
            weight *= p
            with np.errstate(divide="ignore", invalid="ignore"):  # of this thread
                return np.asarray(product / np.sqrt(spread * np.einsum("rn,rn->r", weight, p)))

        return np.stack(list(THREADS.map(against, others)))

    return score


METRIC = Metric(function=spearman, weigh=_weigh, direction="maximize", low=-1.0, high=1.0)
