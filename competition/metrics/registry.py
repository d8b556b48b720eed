"""The metrics there are: every file of this package that defines a METRIC, by its name."""

import importlib
import pkgutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from competition.metrics.metric import Metric, UndefinedMetric


def _found() -> Iterator[tuple[str, Metric]]:
    for name in sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])):
        if name != "registry":
            metric = getattr(importlib.import_module(f"competition.metrics.{name}"), "METRIC", None)
            if metric is not None:
                yield name, metric


METRICS: dict[str, Metric] = dict(_found())


def fitting(truth: np.ndarray) -> dict[str, Metric]:
    """Return the metrics that have a meaning for truth (N, T): those of labels for 0 and 1 alone."""
    is_label = bool(((truth == 0) | (truth == 1) | np.isnan(truth)).all())
    return {name: metric for name, metric in METRICS.items() if is_label or not metric.of_labels}


def score_all(truth: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """Score predictions (N, T) by every metric that has a meaning for the truth and a value."""
    scores = {}
    for name, metric in fitting(truth).items():
        with suppress(UndefinedMetric):  # such as of labels that are all 0
            scores[name] = metric.function(truth, prediction)
    return scores


def score_folds(truth: np.ndarray, prediction: np.ndarray, fold: np.ndarray) -> dict[str, list[float]]:
    """Score the predictions of each fold, numbered from 0 (N,): {metric: [value a fold]}.

    A metric that has no value in some fold is absent.
    """
    parts = [fold == number for number in range(int(fold.max()) + 1)]
    scores = [score_all(truth[part], prediction[part]) for part in parts]
    return {
        name: [each[name] for each in scores]
        for name in fitting(truth)
        if all(name in each for each in scores)
    }
