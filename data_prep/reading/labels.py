"""Which metrics a table's targets can be scored by."""

import numpy as np

from competition.metrics.registry import METRICS
from data_prep.reading.numbers import read_numbers
from data_prep.reading.rows import Table

# The order of the scores: the first that fits is what the board ranks by.
FIRST = ("auroc", "auprc", "pearson", "spearman", "mse", "r2", "pearson_r2", "mae")


def metrics_of(table: Table) -> list[str]:
    """Return the metrics that fit the targets, the one to rank by first."""
    labels = are_labels(table)
    return [name for name in dict.fromkeys([*FIRST, *METRICS]) if labels or not METRICS[name].of_labels]


def are_labels(table: Table) -> bool:
    """Say whether every target is 0 in some rows, 1 in others and nothing else; reads on while it is so."""
    numbers = table.columns.targets
    seen: list[set[float]] = [set() for _ in numbers]
    if any(number.scaled for number in numbers):
        return False
    for piece in table.pieces():
        for values, number in zip(seen, numbers, strict=True):
            found = read_numbers(piece.rows, number, piece.path, missing=True)
            values |= set(np.unique(found[~np.isnan(found)]).tolist())
            if not values <= {0.0, 1.0}:
                return False
    return all(len(values) == 2 for values in seen)
