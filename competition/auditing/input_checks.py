"""Checks of the inputs besides the sequence: a target that is given again, or a copy of it."""

from collections.abc import Iterator

import numpy as np
from scipy.stats import rankdata

from competition.auditing.features import most_rows, read_targets
from competition.auditing.finding import FAIL, PASS, WARN, Finding
from competition.data.challenge import Challenge, target_names

COPY, NEAR = 0.99, 0.95  # correlation of a column with a target: a copy; more than any feature is known for
MOST_ROWS = 20_000


def check_inputs(challenge: Challenge) -> Iterator[Finding]:
    """Check each column of each input for a copy of a target, on any scale: by value and by rank."""
    store, names = challenge.train, target_names(challenge.declaration)
    rows = np.unique(np.linspace(0, len(store) - 1, most_rows(store, MOST_ROWS)).astype(np.int64))
    target = read_targets(store, rows)
    for name, values in store.inputs.items():
        columns = np.asarray(values[rows], dtype=np.float64).reshape(len(rows), -1)
        found = np.maximum(_correlate(columns, target), _correlate(*map(_ranks, (columns, target))))
        column, number = np.unravel_index(int(found.argmax()), found.shape)
        value = float(found[column, number])
        status = FAIL if value > COPY else WARN if value > NEAR else PASS
        copy = "; wanted inputs that are known where nothing was measured" if status == FAIL else ""
        text = f"column {column} has correlation {value:.3f} with target {names[number]}{copy}"
        yield Finding(f"target among the inputs: {name}", status, text)


def _ranks(values: np.ndarray) -> np.ndarray:
    return np.asarray(rankdata(values, axis=0))


def _correlate(columns: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the absolute correlation (F, T) of columns (N, F) with targets (N, T); 0 of a constant."""
    columns, target = columns - columns.mean(axis=0), target - target.mean(axis=0)
    spread = np.sqrt((columns**2).sum(axis=0))[:, None] * np.sqrt((target**2).sum(axis=0))
    return np.asarray(np.abs(columns.T @ target) / np.where(spread > 0, spread, 1))
