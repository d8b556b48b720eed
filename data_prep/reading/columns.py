"""Which column of a table is what, and what the rows say in them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from data_prep.reading.delimited import FIRST_LINE, read_pieces, refuse
from data_prep.reading.numbers import Moments, Number, read_numbers

USAGES = ("train", "public", "private")


class Columns(NamedTuple):
    """Which column of the table is what; None where there is none."""

    sequences: dict[str, str]  # name -> column
    targets: tuple[Number, ...]
    id: str | None
    group: str | None
    fold: str | None
    usage: str | None
    subset: str | None
    inputs: dict[str, tuple[Number, ...]]
    weight: Number | None = None
    test: tuple[str, frozenset[str]] | None = None  # a column, and its values in test rows
    moments: Moments | None = None  # of the inputs that become z-scores


def choose_rows(piece: pd.DataFrame, wanted: dict[str, str]) -> pd.DataFrame:
    """Return the rows with these values; "column!" wants all others."""
    for column, value in wanted.items():
        name = column.removesuffix("!")
        piece = piece[(piece[name] == value) == (name == column)]
    return piece


def usage_of(piece: pd.DataFrame, columns: Columns, path: Path) -> pd.Series:
    """Return whether each row is for training, or a test row with a public or a private answer."""
    if columns.test is not None:
        column, values = columns.test
        return piece[column].isin(values).map({True: "private", False: "train"})
    if columns.usage is None:
        return pd.Series("train", index=piece.index)
    usage = piece[columns.usage].str.strip().str.lower()
    refuse(~usage.isin(USAGES), piece[columns.usage], path, ", ".join(USAGES))
    return usage


def ids_of(rows: pd.DataFrame, columns: Columns) -> list[str]:
    """Return the ids; without a column of them, rows are numbered from 0."""
    return rows[columns.id].to_list() if columns.id else [str(line - FIRST_LINE) for line in rows.index]


def find_moments(path: Path, columns: Columns, wanted: dict[str, str]) -> Moments:
    """Return mean and deviation of every input column over the training rows that have a value."""
    numbers = [number for members in columns.inputs.values() for number in members]
    sums = {number: np.zeros(3) for number in numbers}  # count, sum, sum of squares
    for piece in read_pieces(path):
        piece = choose_rows(piece, wanted)
        piece = piece[usage_of(piece, columns, path) == "train"]
        for number in numbers:
            values = read_numbers(piece, number, path, missing=True)
            values = values[~np.isnan(values)]
            sums[number] += (len(values), values.sum(), (values**2).sum())
    moments: Moments = {}
    for number, (count, total, square) in sums.items():
        mean = total / max(count, 1)
        deviation = np.sqrt(max(square / max(count, 1) - mean**2, 0))
        if deviation < 1e-9 * max(abs(mean), 1):
            raise InputError(
                f"{path}: {number.column} is the same in all training rows; wanted an input that varies"
            )
        moments[number] = (mean, deviation)
    return moments


def subset_names(path: Path, columns: Columns) -> list[str]:
    """Return the subsets of the test rows."""
    names: set[str] = set()
    for piece in read_pieces(path):
        names |= set(piece[columns.subset][usage_of(piece, columns, path) != "train"]) - {""}
    if "all" in names:
        raise InputError(f"{path}: a subset is called 'all', which stands for all rows; wanted another name")
    return sorted(names)


def answers_of(rows: pd.DataFrame, usage: pd.Series, columns: Columns, path: Path) -> pd.DataFrame:
    """Return the answers of test rows; a row without a group is one of its own."""
    values = {number.name: read_numbers(rows, number, path, missing=True) for number in columns.targets}
    frame = pd.DataFrame({"id": ids_of(rows, columns), **values, "usage": usage.to_list()})
    if columns.group is not None:
        frame["group"] = np.where(
            rows[columns.group] != "", rows[columns.group], "row " + frame["id"].to_numpy()
        )
    return frame


def subset_rows(rows: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """Return which of these test rows is in which subset."""
    frame = pd.DataFrame(
        {"subset": rows[columns.subset].to_list(), "id": ids_of(rows, columns), "reference": ""}
    )
    return frame[frame.subset != ""]
