"""Pearson's correlation."""

import numpy as np

from competition.metrics.metric import (
    Metric,
    Weighted,
    centred,
    mean_over_targets,
    require_variation,
    spread,
    variance,
)


@mean_over_targets
def pearson(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Return Pearson's correlation."""
    require_variation("truth", truth)
    require_variation("prediction", prediction)
    return correlation(truth, prediction)


def correlation(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Return the correlation of what varies."""
    sums = spread(truth, prediction)
    # sqrt(s * s) is s to the last bit, so that a perfect prediction scores exactly 1
    r = sums.product / np.sqrt(sums.truth * sums.prediction)
    return float(np.clip(r, -1.0, 1.0))


def weigh_pearson(truth: np.ndarray, values: np.ndarray) -> Weighted:
    """Return what gives the correlation for counts of the rows: moments are matrix products."""
    truth, values = centred(truth), centred(values)
    columns = np.concatenate([[np.ones_like(truth), truth, truth**2], values, values**2, values * truth])

    def score(counts: np.ndarray) -> np.ndarray:
        sums = columns @ counts.T
        n, t, tt = sums[:3]
        p, pp, tp = np.split(sums[3:], 3)
        product = tp / n - p * t / n**2
        r: np.ndarray = product / np.sqrt(variance(tt / n, t / n) * variance(pp / n, p / n))
        return r

    return score


def pearson_of_sums(_: np.ndarray, *sums: np.ndarray) -> np.ndarray:
    """Return the correlation by sums over the rows."""
    n, t, tt, p, pp, tp = sums
    return np.asarray((tp / n - p * t / n**2) / np.sqrt(variance(tt / n, t / n) * variance(pp / n, p / n)))


METRIC = Metric(
    function=pearson, weigh=weigh_pearson, of_sums=pearson_of_sums, direction="maximize", low=-1.0, high=1.0
)
