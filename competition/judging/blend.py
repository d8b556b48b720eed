"""Blend members of a board: weights from out-of-fold predictions alone, by second moments.

All that a weighting needs of the rows is their number, sums and products, fold by fold. They are gathered in
one pass; after that a step costs nothing in rows, and leaving a fold out is a subtraction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

BLOCK_ROWS = 65_536
MAX_STEPS = 100  # of hill climbing
GAIN = 1e-6  # a step must bring so much


@dataclass(frozen=True)
class Sums:
    """Sums over some rows of members and truth together: the truth is the last column."""

    count: float
    total: np.ndarray  # (M + 1,)
    products: np.ndarray  # (M + 1, M + 1)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.count + other.count, self.total + other.total, self.products + other.products)

    def __sub__(self, other: "Sums") -> "Sums":
        return Sums(self.count - other.count, self.total - other.total, self.products - other.products)

    def covariance(self) -> np.ndarray:
        mean = self.total / self.count
        return self.products / self.count - np.outer(mean, mean)


def gather(members: np.ndarray, truth: np.ndarray, fold: np.ndarray) -> list[Sums]:
    """Return the sums of each fold; members (M, N), truth (N,), fold (N,) from 0."""
    middle = np.append(members.mean(1, dtype=np.float64), truth.mean(dtype=np.float64))
    found = []
    for number in range(int(fold.max()) + 1):
        rows = np.flatnonzero(fold == number)
        sums = Sums(0, np.zeros(len(middle)), np.zeros((len(middle), len(middle))))
        for first in range(0, len(rows), BLOCK_ROWS):
            mine = rows[first : first + BLOCK_ROWS]
            block = np.concatenate([members[:, mine], truth[None, mine]]).astype(np.float64)
            block -= middle[:, None]  # products of small numbers keep their digits
            sums += Sums(block.shape[1], block.sum(1), block @ block.T)
        found.append(sums)
    return found


def correlation(sums: Sums, weights: np.ndarray) -> float:
    """Return Pearson's correlation of a blend (weights (M,)) with the truth; 0 where it does not vary."""
    covariance = sums.covariance()
    spread = weights @ covariance[:-1, :-1] @ weights * covariance[-1, -1]
    return float(weights @ covariance[:-1, -1] / np.sqrt(spread)) if spread > 0 else 0.0


def mean_weights(sums: Sums) -> np.ndarray:
    """Return equal weights (M,)."""
    count = len(sums.total) - 1
    return np.full(count, 1 / count)


def least_squares(sums: Sums) -> np.ndarray:
    """Return the weights (M,), none below zero, with the least squared error around the means."""
    covariance = sums.covariance()
    values, vectors = np.linalg.eigh(covariance[:-1, :-1])
    keep = values > values.max() * 1e-12
    root = np.sqrt(values[keep])
    weights, _ = nnls((vectors[:, keep] * root).T, vectors[:, keep].T @ covariance[:-1, -1] / root)
    return weights if weights.any() else mean_weights(sums)


def hill_climb(sums: Sums) -> np.ndarray:
    """Return the weights (M,) of greedy selection with replacement (Caruana et al., ICML 2004).

    Each step adds the member that raises the correlation most, until none does.
    """
    covariance = sums.covariance()
    among, toward, truth = covariance[:-1, :-1], covariance[:-1, -1], covariance[-1, -1]
    counts, best = np.zeros(len(toward)), -np.inf
    reached, spread, along = np.zeros(len(toward)), 0.0, 0.0  # of the blend so far
    for _ in range(MAX_STEPS):
        spreads = spread + 2 * reached + np.diag(among)
        scores = (along + toward) / np.sqrt(np.maximum(spreads * truth, 1e-300))
        choice = int(scores.argmax())
        if scores[choice] < best + GAIN:
            break
        best, spread, along = scores[choice], spreads[choice], along + toward[choice]
        reached = reached + among[:, choice]
        counts[choice] += 1
    return counts / counts.sum()


METHODS: dict[str, Callable[[Sums], np.ndarray]] = {
    "mean": mean_weights,
    "least squares": least_squares,
    "hill climbing": hill_climb,
}


def nested_weights(folds: Sequence[Sums], method: Callable[[Sums], np.ndarray]) -> list[np.ndarray]:
    """Return for each fold the weights that the other folds choose."""
    total = _sum(folds)
    return [method(total - fold) for fold in folds]


def all_weights(folds: Sequence[Sums], method: Callable[[Sums], np.ndarray]) -> np.ndarray:
    """Return the weights that all folds together choose."""
    return method(_sum(folds))


def _sum(folds: Sequence[Sums]) -> Sums:
    total = folds[0]
    for fold in folds[1:]:
        total = total + fold
    return total


def error_correlation(folds: Sequence[Sums]) -> np.ndarray:
    """Return how the errors of the members (M, M) go together: 1 is the same mistake."""
    covariance = _sum(folds).covariance()
    toward, truth = covariance[:-1, -1], covariance[-1, -1]
    errors = covariance[:-1, :-1] - toward[:, None] - toward + truth
    scale = np.sqrt(np.diag(errors))
    return errors / np.outer(scale, scale)
