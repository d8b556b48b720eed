"""The metrics there are: every file of this package that defines a METRIC, by its name."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from competition.metrics.metric import Metric


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
