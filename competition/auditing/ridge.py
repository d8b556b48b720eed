"""Ridge regression across folds, as a measure of what simple features predict."""

import numpy as np
from sklearn.linear_model import Ridge

from competition.metrics.metric import UndefinedMetric
from competition.metrics.pearson import pearson

PENALTY = 0.1  # a row, on features of unit spread


def out_of_fold(features: np.ndarray, truth: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return predictions (N, T) of each fold's rows by a ridge on the others; features (N, F), fold (N,)."""
    spread = features.std(axis=0)
    features = features / np.where(spread > 0, spread, 1)
    predictions = np.empty_like(truth)
    for number in np.unique(fold):
        mine = fold == number
        model = Ridge(alpha=PENALTY * np.count_nonzero(~mine), solver="cholesky")
        model.fit(features[~mine], truth[~mine])
        predictions[mine] = model.predict(features[mine]).reshape(-1, truth.shape[1])
    return predictions


def correlation(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Return the mean Pearson correlation over targets (N, T), zero where the predictions are constant."""
    try:
        return pearson(truth, prediction)
    except UndefinedMetric:
        return 0.0
