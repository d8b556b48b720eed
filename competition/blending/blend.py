"""Ways to weight the members of a blend: by out-of-fold predictions alone, from second moments."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from competition.blending.moments import Moments

MAX_STEPS = 100  # of hill climbing
GAIN = 1e-6  # least that a step must add to the correlation


class Line(NamedTuple):
    """A prediction from columns, which are the members and last their rank mean: weights, then a shift."""

    weights: np.ndarray  # (M + 1,)
    shift: np.ndarray  # (T,)

    def __call__(self, columns: np.ndarray) -> np.ndarray:
        """Return predictions (K, T) from columns (M + 1, K, T)."""
        return np.asarray(np.tensordot(self.weights, columns, 1) + self.shift)


def correlation(covariance: np.ndarray, weights: np.ndarray) -> float:
    """Return Pearson's correlation of a blend (weights (M + 1,)) with the truth; 0 where it does not vary."""
    spread = weights @ covariance[:-1, :-1] @ weights * covariance[-1, -1]
    return float(weights @ covariance[:-1, -1] / np.sqrt(spread)) if spread > 0 else 0.0


def mean_weights(covariance: np.ndarray) -> np.ndarray:
    """Return equal weights of the members (M + 1,)."""
    count = len(covariance) - 2
    return np.append(np.full(count, 1 / count), 0)


def rank_mean(covariance: np.ndarray) -> np.ndarray:
    """Return weights (M + 1,) of the rank mean, in units of the truth; the mean's if it does not predict."""
    if covariance[-2, -1] <= 0:
        return mean_weights(covariance)
    return _calibrated(np.eye(len(covariance) - 1)[-1], covariance)


def _calibrated(weights: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return weights (M + 1,) scaled so that the squared error is least."""
    along, spread = weights @ covariance[:-1, -1], weights @ covariance[:-1, :-1] @ weights
    return weights * (along / spread) if along > 0 and spread > 0 else weights


def least_squares(covariance: np.ndarray) -> np.ndarray:
    """Return the weights (M + 1,), none below zero, with the least squared error around the means."""
    values, vectors = np.linalg.eigh(covariance[:-2, :-2])
    keep = values > values.max() * 1e-12
    root = np.sqrt(values[keep])
    weights, _ = nnls((vectors[:, keep] * root).T, vectors[:, keep].T @ covariance[:-2, -1] / root)
    return np.append(weights, 0) if weights.any() else mean_weights(covariance)


def hill_climb(covariance: np.ndarray) -> np.ndarray:
    """Return the weights (M + 1,) of greedy selection with replacement (Caruana et al., ICML 2004).

    Each step adds the member that raises the correlation most, until none does; the scale is set at the end.
    """
    counts, best = np.zeros(len(covariance) - 1), -np.inf
    for choice, score in _greedy(covariance, replace=True):
        if score < best + GAIN:
            break
        best = score
        counts[choice] += 1
    return _calibrated(counts / counts.sum(), covariance)


def of_size(size: int, method: "Method", covariance: np.ndarray) -> np.ndarray:
    """Return a method's weights (M + 1,) of this many members, added in turn by what helps the mean most."""
    taken = [choice for choice, _ in _greedy(covariance, replace=False)[:size]]
    columns = [*taken, len(covariance) - 2, len(covariance) - 1]
    weights = np.zeros(len(covariance) - 1)
    weights[taken] = method(covariance[np.ix_(columns, columns)])[:-1]
    return weights


def _greedy(covariance: np.ndarray, *, replace: bool) -> list[tuple[int, float]]:
    """Return the member that each step adds and the correlation that the sum then has."""
    among, toward, truth = covariance[:-2, :-2], covariance[:-2, -1], covariance[-1, -1]
    reached, spread, along = np.zeros(len(toward)), 0.0, 0.0  # of the blend so far
    free, steps = np.ones(len(toward), dtype=bool), []
    for _ in range(MAX_STEPS if replace else len(toward)):
        spreads = spread + 2 * reached + np.diag(among)
        scores = (along + toward) / np.sqrt(np.maximum(spreads * truth, 1e-300))
        choice = int(np.where(free, scores, -np.inf).argmax())
        steps.append((choice, float(scores[choice])))
        spread, along = spreads[choice], along + toward[choice]
        reached = reached + among[:, choice]
        free[choice] = replace
    return steps


Method = Callable[[np.ndarray], np.ndarray]  # covariance -> weights
METHODS: dict[str, Method] = {
    "mean": mean_weights,
    "rank mean": rank_mean,
    "least squares": least_squares,
    "hill climbing": hill_climb,
}


def fit_line(moments: Moments, method: Method, *, without: int | None = None) -> Line:
    """Return the blend that a method chooses by all rows, or by those of the other folds.

    Weights of members that do not sum to one, and those of ranks, act around the means of these rows, so that
    predictions shrink toward the mean of the truth and not toward zero.
    """
    sums = moments.sums(without=without)
    weights = method(sums.covariance())
    mean = sums.mean() + moments.middle
    is_mean = np.isclose(weights[:-1].sum(), 1) and weights[-1] == 0
    shift = np.zeros(len(mean)) if is_mean else mean[:, -1] - mean[:, :-1] @ weights
    return Line(weights, shift)


def nested_lines(moments: Moments, method: Method) -> list[Line]:
    """Return for each fold the blend that the other folds choose."""
    return [fit_line(moments, method, without=fold) for fold in range(moments.num_folds)]


def error_correlation(moments: Moments) -> np.ndarray:
    """Return the correlation of the members' errors (M, M)."""
    covariance = moments.sums().covariance()
    toward, truth = covariance[:-2, -1], covariance[-1, -1]
    errors = covariance[:-2, :-2] - toward[:, None] - toward + truth
    scale = np.sqrt(np.diag(errors))
    return np.asarray(errors / np.outer(scale, scale))
