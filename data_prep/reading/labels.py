"""Which metrics a table's targets can be scored by."""

from pathlib import Path

import numpy as np

from competition.metrics.registry import METRICS
from data_prep.reading.columns import Columns, choose_rows
from data_prep.reading.delimited import read_pieces
from data_prep.reading.numbers import read_numbers

# The order of the scores: the first that fits is what the board ranks by.
FIRST = ("auroc", "auprc", "pearson", "spearman", "mse", "r2", "pearson_r2", "mae")


def metrics_of(path: Path, columns: Columns, wanted: dict[str, str]) -> list[str]:
    """Return the metrics that fit the targets, the one to rank by first."""
    labels = are_labels(path, columns, wanted)
    return [name for name in dict.fromkeys([*FIRST, *METRICS]) if labels or not METRICS[name].of_labels]


def are_labels(path: Path, columns: Columns, wanted: dict[str, str]) -> bool:
    """Say whether every target is 0 in some rows, 1 in others and nothing else; reads on while it is so."""
    seen: list[set[float]] = [set() for _ in columns.targets]
    for piece in read_pieces(path):
        piece = choose_rows(piece, wanted)
        for values, number in zip(seen, columns.targets, strict=True):
            found = read_numbers(piece, number, path, missing=True)
            values |= set(np.unique(found[~np.isnan(found)]).tolist())
            if not values <= {0.0, 1.0}:
                return False
    return all(len(values) == 2 for values in seen)
