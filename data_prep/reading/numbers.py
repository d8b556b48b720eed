"""Numbers of a table: a column as it is, its logarithm, or the z-score of either."""

import re
from collections.abc import Container
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from data_prep.reading.delimited import refuse

FUNCTIONS = {"log10": np.log10, "log2": np.log2, "log1p": np.log1p}
LOGARITHM = re.compile(r"(log10|log2)\(\s*([^()]+?)\s*(?:\+\s*([0-9.eE+-]+)\s*)?\)")
LOG1P = re.compile(r"log1p\(\s*([^()]+?)\s*\)")
Z_SCORE = re.compile(r"zscore\(\s*(.+?)\s*\)")
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
MISSING = {"", "na", "n/a", "nan", "none", "null", "<na>"}  # words for no value, in small letters


def is_number(text: str | bytes) -> bool:
    """Say whether a cell is a number, finite or not."""
    try:
        float(text)
    except ValueError:
        return False
    return True


class Number(NamedTuple):
    """A numeric column: as it is, its logarithm, or the z-score of either by the training rows."""

    column: str
    function: str = ""
    offset: float = 0  # added before log10 or log2
    scaled: bool = False

    @property
    def name(self) -> str:
        return "_".join(part for part in ("zscore" * self.scaled, self.function, self.column) if part)

    @property
    def unit(self) -> str:
        """How the number is made before it becomes a z-score; empty for a column as it is."""
        inner = f"{self.column} + {self.offset:g}" if self.function in ("log10", "log2") else self.column
        return f"{self.function}({inner})" if self.function else ""

    @property
    def unscaled(self) -> "Number":
        return self._replace(scaled=False)


Moments = dict[Number, tuple[float, float]]  # mean and standard deviation of what becomes a z-score


def unit_of(number: Number, moments: Moments | None) -> str:
    """Return the unit of a target; that of a z-score says how to get the value back."""
    if not number.scaled or moments is None:
        return number.unit
    mean, deviation = moments[number.unscaled]
    return f"({number.unit or number.column} - {mean:.6g}) / {deviation:.6g}"


def parse_number(text: str, columns: Container[str] = ()) -> Number:
    """Read "column", "log10(column + 0.1)", "log2(...)", "log1p(column)" or "zscore(any of these)".

    What is the name of a column, such as log2(RNA/DNA), stands for that column.
    """
    text = text.strip()
    if text in columns:
        return Number(text)
    if found := Z_SCORE.fullmatch(text):
        return parse_number(found[1], columns)._replace(scaled=True)
    if found := LOGARITHM.fullmatch(text):
        try:
            return Number(found[2], found[1], float(found[3] or 0))
        except ValueError:
            raise InputError(f"{text}: wanted a number after the +, such as log2(reads+0.5)") from None
    found = LOG1P.fullmatch(text)
    return Number(found[1], "log1p") if found else Number(text)


def is_missing(column: pd.Series) -> pd.Series:
    """Say which cells (n,) hold no value: nothing, or a word for that."""
    return column.str.strip().str.lower().isin(MISSING)


def read_input(rows: pd.DataFrame, number: Number, moments: Moments, path: Path) -> np.ndarray:
    """Read one column of an input; a missing value of a z-score is 0."""
    values = read_numbers(rows, number, path, missing=number.scaled, moments=moments)
    return np.where(np.isnan(values), 0, values)


def read_numbers(
    rows: pd.DataFrame,
    number: Number,
    path: Path,
    *,
    missing: bool = False,
    moments: Moments | None = None,
) -> np.ndarray:
    """Read a column, its logarithm or z-score, as float64; missing allows cells without a value: NaN."""
    column = rows[number.column]
    values: np.ndarray = pd.to_numeric(column.str.strip(), errors="coerce").to_numpy(dtype=np.float64)
    bad = ~np.isfinite(values) & ~(missing & is_missing(column).to_numpy())
    comma = bad.any() and DECIMAL_COMMA.fullmatch(column.iloc[int(bad.argmax())].strip())
    refuse(bad, column, path, "a decimal point, such as 1.5, not a comma" if comma else "a finite number")
    values = _transform(np.where(np.isfinite(values), values, np.nan), number, column, path)
    if number.scaled:
        assert moments is not None, number
        mean, deviation = moments[number.unscaled]
        values = (values - mean) / deviation
    return values


def _transform(values: np.ndarray, number: Number, column: pd.Series, path: Path) -> np.ndarray:
    """Take the logarithm where one is asked for."""
    if not number.function:
        return values
    shifted = values + (1 if number.function == "log1p" else number.offset)
    refuse(shifted <= 0, column, path, f"more, for {number.unit}")
    return np.asarray(FUNCTIONS[number.function](values if number.function == "log1p" else shifted))


def read_weights(rows: pd.DataFrame, number: Number, path: Path) -> np.ndarray:
    """Read a column of weights, none below 0."""
    weights = read_numbers(rows, number, path)
    refuse(weights < 0, rows[number.column], path, "a weight of 0 or more")
    return weights
