"""What all rows of a table say together: means and deviations, and the subsets of its test rows."""

import numpy as np

from competition.base.errors import InputError
from data_prep.reading.numbers import Moments, read_numbers
from data_prep.reading.rows import Table


def find_moments(table: Table) -> Moments:
    """Return mean and deviation, over the training rows that have a value, of all that becomes a z-score."""
    numbers = [number.unscaled for number in table.columns.numbers if number.scaled]
    sums = {number: np.zeros(3) for number in numbers}  # count, sum, sum of squares
    for piece in table.pieces() if numbers else ():
        rows = piece.rows[piece.usage == "train"]
        for number in numbers:
            values = read_numbers(rows, number, piece.path, missing=True)
            values = values[~np.isnan(values)]
            sums[number] += (len(values), values.sum(), (values**2).sum())
    moments: Moments = {}
    for number, (count, total, square) in sums.items():
        mean = total / max(count, 1)
        deviation = np.sqrt(max(square / max(count, 1) - mean**2, 0))
        if deviation < 1e-9 * max(abs(mean), 1):
            raise InputError(
                f"{table.where}: {number.column} is the same in all training rows; wanted one that varies"
            )
        moments[number] = (mean, deviation)
    return moments


def subset_names(table: Table) -> list[str]:
    """Return the subsets of the test rows."""
    names: set[str] = set()
    for piece in table.pieces() if table.columns.subset else ():
        tested = piece.take(piece.usage != "train")
        names |= set(tested.rows[table.columns.subset]) - {""} if len(tested.rows) else set()
    if "all" in names:
        raise InputError(
            f"{table.where}: a subset is called 'all', which stands for all rows; wanted another name"
        )
    return sorted(names)
