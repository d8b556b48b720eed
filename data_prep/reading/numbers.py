"""Numbers of a table: a column as it is, its logarithm, or its z-score."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from competition.base.errors import InputError

A_LOGARITHM = re.compile(r"log10\(\s*([^()+]+?)\s*(?:\+\s*([0-9.eE+-]+)\s*)?\)")


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


Spread = dict[Number, tuple[float, float]]  # mean and deviation


def parse_number(text: str) -> Number:
    """Read "column" or "log10(column + 0.1)"."""
    found = A_LOGARITHM.fullmatch(text.strip())
    return Number(found[1], float(found[2] or 0)) if found else Number(text)


def read_input(rows: pd.DataFrame, number: Number, spread: Spread | None, path: Path) -> np.ndarray:
    """Read one column of an input, as a z-score where that is asked for."""
    if spread is None:
        return read_numbers(rows, number, path)
    mean, deviation = spread[number]
    return np.nan_to_num((read_numbers(rows, number, path, missing=True) - mean) / deviation, nan=0.0)


def read_numbers(rows: pd.DataFrame, number: Number, path: Path, *, missing: bool = False) -> np.ndarray:
    """Read a column, or its logarithm, as float64; missing allows empty cells, which become NaN."""
    column = rows[number.column]
    values = pd.to_numeric(column.str.strip(), errors="coerce").to_numpy(dtype=np.float64)
    bad = ~np.isfinite(values)
    if missing:
        bad &= column.str.strip().to_numpy() != ""
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"{path}: line {int(column.index[row]) + 2} has {column.name} {column.iloc[row]!r}; "
            "wanted a finite number"
        )
    if number.offset is None:
        return values
    low = values + number.offset <= 0
    if low.any():
        row = int(low.argmax())
        raise InputError(
            f"{path}: line {int(column.index[row]) + 2} has {column.name} {column.iloc[row]}; "
            f"wanted more, for {number.unit}"
        )
    return np.log10(values + number.offset)
