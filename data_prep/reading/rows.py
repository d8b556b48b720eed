"""The rows that a challenge is made of, from one file or several; read piece by piece, as often as needed."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from data_prep.reading.columns import Columns, require
from data_prep.reading.delimited import FIRST_LINE, refuse
from data_prep.reading.formats import read_columns

USAGES = ("train", "public", "private")


class File(NamedTuple):
    """A file of rows, and what they are for where that is said by file: train or private."""

    path: Path
    usage: str = ""


class Piece(NamedTuple):
    """Some rows of a file as text, by line: their cells, ids, and whether for train, public or private."""

    path: Path
    rows: pd.DataFrame
    ids: pd.Series
    usage: pd.Series

    def take(self, chosen: np.ndarray | pd.Series) -> "Piece":
        """Return the rows of a mask (n,)."""
        mask = np.asarray(chosen, dtype=bool)
        return Piece(self.path, self.rows[mask], self.ids[mask], self.usage[mask])


class Step(Protocol):
    """A change of the rows on their way, the same each time that they are read."""

    def __call__(self, pieces: Iterator[Piece]) -> Iterator[Piece]: ...

    @property
    def note(self) -> str:
        """What it did, as a line for the user; empty where there is nothing to say."""


class Table:
    """The rows of some files; a step may be found by reading the table with those before it."""

    def __init__(self, files: Iterable[File], columns: Columns, wanted: dict[str, str]) -> None:
        """Take files, what their columns are, and the values that rows must have to be taken."""
        self.files, self.columns, self.wanted = list(files), columns, wanted
        self._chosen = [column.removesuffix("!") for column in wanted]
        self.steps: list[Step] = []

    def pieces(self) -> Iterator[Piece]:
        """Yield the rows piece by piece; no piece is empty."""
        pieces = self._read()
        for step in self.steps:
            pieces = step(pieces)
        return (piece for piece in pieces if len(piece.rows))

    @property
    def where(self) -> str:
        """The names of the files, for messages."""
        return ", ".join(str(file.path) for file in self.files)

    @property
    def notes(self) -> list[str]:
        """What the steps did to the rows when they were read last."""
        return [step.note for step in self.steps if step.note]

    def _read(self) -> Iterator[Piece]:
        """Yield the rows as they are; those without an id column are numbered from 0 through all files."""
        column, first = self.columns.id, 0
        for file in self.files:
            count = 0
            needed = [*self.columns.needed(file.usage), *self._chosen]
            for piece in read_columns(file.path, needed):
                count += len(piece)
                rows = choose_rows(piece, self.wanted)
                numbers = (rows.index - FIRST_LINE + first).astype(str)
                ids = rows[column] if column else pd.Series(numbers, index=rows.index)
                yield Piece(file.path, rows, ids, usage_of(rows, self.columns, file))
            first += count


def usage_of(rows: pd.DataFrame, columns: Columns, file: File) -> pd.Series:
    """Return whether each row is for training, or a test row with a public or a private answer."""
    if columns.test is not None:
        column, values = columns.test
        return rows[column].isin(values).map({True: "private", False: "train"})
    if columns.usage is None or file.usage:
        return pd.Series(file.usage or "train", index=rows.index)
    usage = rows[columns.usage].str.strip().str.lower()
    refuse(~usage.isin(USAGES), rows[columns.usage], file.path, ", ".join(USAGES))
    return usage


def check_file(file: File, there: list[str], columns: Columns, wanted: Iterable[str]) -> None:
    """Raise InputError where a file lacks a column, or has one that says what its option says already."""
    for column in columns.needed(file.usage):
        require(column, there, str(file.path))
    for column in wanted:
        require(column.removesuffix("!"), there, "--where")
    saying = [column for column in (columns.usage, columns.test and columns.test[0]) if column in there]
    if file.usage and saying:
        option = "--train" if file.usage == "train" else "--test"
        raise InputError(
            f"{option} {file.path}: its column {saying[0]!r} says that already; leave {option} away"
        )


def choose_rows(rows: pd.DataFrame, wanted: dict[str, str]) -> pd.DataFrame:
    """Return the rows with these values; "column!" wants all others."""
    for column, value in wanted.items():
        name = column.removesuffix("!")
        rows = rows[(rows[name] == value) == (name == column)]
    return rows


class Assign:
    """Say what each row is for, in the order in which they come; "" drops a row."""

    def __init__(self, usage: np.ndarray, note: str) -> None:
        self.usage, self.note = usage, note

    def __call__(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        start = 0
        for piece in pieces:
            stop = start + len(piece.rows)
            usage = pd.Series(self.usage[start:stop], index=piece.rows.index)
            yield piece._replace(usage=usage).take(usage != "")
            start = stop
