"""Rows with the same id: one row with the means of their numbers, or rows with new ids."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from competition.data.hashing import hash_text
from data_prep.reading.columns import Columns
from data_prep.reading.numbers import Number, read_numbers
from data_prep.reading.rows import Piece, Table

Key = tuple[bool, str]  # whether a test row, and its id: training and test rows may share ids


def find_duplicates(table: Table) -> set[Key]:
    """Return what comes more than once; only hashes are kept of all rows."""
    hashes = np.concatenate([np.empty(0, np.uint64), *(hash_keys(piece) for piece in table.pieces())])
    values, counts = np.unique(hashes, return_counts=True)
    several = values[counts > 1]
    found: set[Key] = set()
    for piece in table.pieces() if len(several) else ():
        found |= set(keys_of(piece.take(np.isin(hash_keys(piece), several))))
    return found


def hash_keys(piece: Piece) -> np.ndarray:
    """Hash the ids of rows with what part they are of: (n,) uint64."""
    parts = np.where(piece.usage == "train", "train ", "test ")
    return hash_text([part + name for part, name in zip(parts, piece.ids, strict=True)])


def keys_of(piece: Piece) -> list[Key]:
    return list(zip((piece.usage != "train").tolist(), piece.ids.to_list(), strict=True))


class Rename:
    """Give the second row of an id the id with _2 added, and so on."""

    def __init__(self, table: Table) -> None:
        self.several = find_duplicates(table)
        self.count = 0

    @property
    def note(self) -> str:
        return f"gave {self.count:,} rows with the id of an earlier one a new id, such as ID_2"

    def __call__(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        seen: Counter[Key] = Counter()
        self.count = 0
        for piece in pieces:
            ids = piece.ids.to_list()
            for row, key in enumerate(keys_of(piece)):
                if key in self.several:
                    seen[key] += 1
                    self.count += seen[key] > 1
                    ids[row] += f"_{seen[key]}" if seen[key] > 1 else ""
            yield piece._replace(ids=pd.Series(ids, index=piece.ids.index, dtype=piece.ids.dtype))


class Average:
    """Replace rows of the same id by the first of them with the means of their numbers, as text."""

    def __init__(self, table: Table) -> None:
        self.columns = table.columns
        self.numbers = list(dict.fromkeys(number.column for number in table.columns.numbers))
        self.several = find_duplicates(table)
        self.sums: dict[Key, _Sum] = {}
        for piece in table.pieces():
            self._add(piece.take([key in self.several for key in keys_of(piece)]))

    @property
    def note(self) -> str:
        count = sum(each.rows for each in self.sums.values())
        return f"averaged {count:,} rows of {len(self.sums):,} ids that come more than once"

    def _add(self, piece: Piece) -> None:
        """Add rows to the sums of their ids; InputError where they differ in more than numbers."""
        alike = _alike(self.columns)
        rows = piece.rows.reindex(columns=list(dict.fromkeys([*alike, *self.numbers])), fill_value="")
        values = [read_numbers(rows, Number(name), piece.path, missing=True) for name in self.numbers]
        texts = rows[alike].assign(usage=piece.usage)
        for row, key in enumerate(keys_of(piece)):
            mine, text = np.array([each[row] for each in values]), tuple(texts.iloc[row])
            known = self.sums.setdefault(key, _Sum(0, np.zeros(len(mine)), np.zeros(len(mine)), text))
            for name, one, other in zip(texts.columns, known.texts, text, strict=True):
                if one != other:
                    raise InputError(
                        f"{piece.path}: line {piece.rows.index[row]} has the id {key[1]!r} of an earlier row "
                        f"but another {name}; wanted the same, or --duplicate-ids rename"
                    )
            self.sums[key] = known.add(mine)

    def __call__(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        seen: set[Key] = set()
        for piece in pieces:
            keys = keys_of(piece)
            first = np.ones(len(keys), dtype=bool)
            columns = {name: piece.rows[name].to_list() for name in self.numbers if name in piece.rows}
            for row in [row for row, key in enumerate(keys) if key in self.sums]:
                first[row] = keys[row] not in seen
                seen.add(keys[row])
                for name, mean in zip(self.numbers, self.sums[keys[row]].means(), strict=True):
                    if name in columns:
                        columns[name][row] = mean
            yield piece._replace(rows=piece.rows.assign(**columns)).take(first)


class _Sum(NamedTuple):
    """The rows of an id so far: how many, the sums and numbers of their values, and what they have alike."""

    rows: int
    total: np.ndarray
    known: np.ndarray
    texts: tuple[str, ...]

    def add(self, values: np.ndarray) -> "_Sum":
        known = ~np.isnan(values)
        total = self.total + np.where(known, values, 0)
        return _Sum(self.rows + 1, total, self.known + known, self.texts)

    def means(self) -> list[str]:
        """Return the means as text, empty where no row has a value."""
        return [repr(float(t / n)) if n else "" for t, n in zip(self.total, self.known, strict=True)]


def _alike(columns: Columns) -> list[str]:
    """Return the columns that rows of one id must agree in."""
    special = (columns.group, columns.fold, columns.subset)
    return [*columns.sequences.values(), *(name for name in special if name)]


def add_duplicates(table: Table, wanted: str) -> None:
    """Add the step that --duplicate-ids asks for; refused duplicates are found when all is written."""
    if wanted == "refuse":
        return
    if table.columns.id is None:
        raise InputError(f"--duplicate-ids {wanted}: there is no column 'id'; wanted --id COLUMN")
    table.steps.append(Average(table) if wanted == "mean" else Rename(table))
