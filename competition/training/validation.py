"""The validation split that early stopping watches."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from competition.data.folds import validation_mask
from competition.metrics.metric import UndefinedMetric
from competition.metrics.registry import METRICS
from competition.training.job import Job

FRACTION = 0.1  # of the training rows


@dataclass(frozen=True)
class Validation:
    """A split of the training rows, never the fold to be predicted, and how predictions of it are scored."""

    rows: np.ndarray
    score: Callable[[np.ndarray, np.ndarray], float]  # (target (N, T), predictions (N, T)) -> float
    higher_is_better: bool

    def rank(self, score: float | None) -> float:
        """Return a number that is the higher the better the score."""
        assert score is not None
        return score if self.higher_is_better else -score


def validation_split(job: Job, fold: int, train_rows: np.ndarray) -> Validation | None:
    """Hold out some groups of the training rows for early stopping, where the recipe wants it."""
    if job.recipe.patience is None:
        return None
    mask = validation_mask(job.folds.key[train_rows], fold=fold, fraction=FRACTION, seed=job.seed)
    metric = METRICS[job.recipe.stop_metric or job.opened.declaration.primary.metric]
    higher = metric.direction == "maximize"

    def score(target: np.ndarray, predictions: np.ndarray) -> float:
        try:
            return metric.function(target, predictions)
        except UndefinedMetric:  # one constant for every row: worse than anything
            return -np.inf if higher else np.inf

    return Validation(train_rows[mask], score, higher)
