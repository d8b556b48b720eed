"""Numbers of a table: a column as it is, its logarithm, or its z-score."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from data_prep.reading.delimited import refuse

LOGARITHM = re.compile(r"log10\(\s*([^()+]+?)\s*(?:\+\s*([0-9.eE+-]+)\s*)?\)")


def is_number(text: str | bytes) -> bool:
    """Say whether a cell is a number, finite or not."""
    try:
        float(text)
    except ValueError:
        return False
    return True


class Number(NamedTuple):
    """A numeric column, or the logarithm of one: log10(column + offset)."""

    column: str
    offset: float | None = None

    @property
    def name(self) -> str:
        return self.column if self.offset is None else f"log10_{self.column}"

    @property
    def unit(self) -> str:
        return "" if self.offset is None else f"log10({self.column} + {self.offset:g})"


Moments = dict[Number, tuple[float, float]]  # mean and standard deviation of each column


def parse_number(text: str) -> Number:
    """Read "column" or "log10(column + 0.1)"."""
    found = LOGARITHM.fullmatch(text.strip())
    if found and not is_number(found[2] or "0"):
        raise InputError(f"{text}: {found[2]!r} is no number; wanted such as log10(column+0.1)")
    return Number(found[1], float(found[2] or 0)) if found else Number(text)


def read_input(rows: pd.DataFrame, number: Number, moments: Moments | None, path: Path) -> np.ndarray:
    """Read one column of an input, as a z-score where that is asked for; a missing value is then 0."""
    if moments is None:
        return read_numbers(rows, number, path)
    mean, deviation = moments[number]
    values = (read_numbers(rows, number, path, missing=True) - mean) / deviation
    values[np.isnan(values)] = 0
    return values


def read_numbers(rows: pd.DataFrame, number: Number, path: Path, *, missing: bool = False) -> np.ndarray:
    """Read a column, or its logarithm, as float64; missing allows empty cells, which become NaN."""
    column = rows[number.column]
    values: np.ndarray = pd.to_numeric(column.str.strip(), errors="coerce").to_numpy(dtype=np.float64)
    allowed = missing & (column.str.strip() == "").to_numpy()
    refuse(~np.isfinite(values) & ~allowed, column, path, "a finite number")
    if number.offset is None:
        return values
    values = values + number.offset
    refuse(values <= 0, column, path, f"more, for {number.unit}")
    return np.asarray(np.log10(values))


def read_weights(rows: pd.DataFrame, number: Number, path: Path) -> np.ndarray:
    """Read a column of weights, none below 0."""
    weights = read_numbers(rows, number, path)
    refuse(weights < 0, rows[number.column], path, "a weight of 0 or more")
    return weights
