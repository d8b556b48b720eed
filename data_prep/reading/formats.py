"""Read a table of any format as text, piece by piece: CSV, TSV, parquet, Excel, AnnData and HDF5.

A file's format is recognised by its first bytes, not by its name.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from data_prep.reading.delimited import CHUNK_ROWS, FIRST_LINE, read_pieces, refuse_missing_header
from data_prep.reading.extras import import_extra
from data_prep.reading.files import exists, open_bytes
from data_prep.reading.hdf5 import hdf5_names, hdf5_pieces


class Format(Protocol):
    """How files of one format are read."""

    def names(self, path: Path) -> list[str]:
        """Return the names of the columns."""

    def pieces(self, path: Path, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Yield these columns at least, every cell as text; the index counts from FIRST_LINE."""


class Delimited:
    """CSV and TSV."""

    def names(self, path: Path) -> list[str]:
        names = list(next(read_pieces(path)).columns)
        refuse_missing_header(names, path)
        return names

    def pieces(self, path: Path, columns: Sequence[str]) -> Iterator[pd.DataFrame]:  # noqa: ARG002
        return read_pieces(path)


class Parquet:
    """Parquet, by pyarrow."""

    def names(self, path: Path) -> list[str]:
        with self._open(path) as file:
            return [str(name) for name in file.schema_arrow.names]

    def pieces(self, path: Path, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        first = FIRST_LINE
        for frame in self._frames(path, columns):
            text = {str(name): as_text(frame[name]) for name in frame.columns}
            yield pd.DataFrame(text).set_axis(range(first, first + len(frame)))
            first += len(frame)

    def _frames(self, path: Path, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        with self._open(path) as file:
            for batch in file.iter_batches(batch_size=CHUNK_ROWS, columns=list(columns)):
                yield batch.to_pandas(integer_object_nulls=True)

    @contextmanager
    def _open(self, path: Path) -> Iterator[Any]:
        arrow = import_extra("pyarrow", "parquet", "parquet files")
        parquet = import_extra("pyarrow.parquet", "parquet", "parquet files")
        try:
            with parquet.ParquetFile(path) as file:
                yield file
        except (arrow.ArrowException, OSError) as error:
            raise InputError(f"{path} cannot be read as parquet: {error}") from None


class Excel:
    """The first sheet of an Excel workbook, by openpyxl."""

    def names(self, path: Path) -> list[str]:
        return [str(name) for name in next(self._rows(path), ())]

    def pieces(self, path: Path, columns: Sequence[str]) -> Iterator[pd.DataFrame]:  # noqa: ARG002
        rows = self._rows(path)
        names, kept, lines = next(rows, ()), [], []
        for line, row in enumerate(rows, FIRST_LINE):
            if any(cell != "" for cell in row[len(names) :]):
                raise InputError(f"{path}: line {line} has more cells than the header's {len(names)}")
            if any(cell != "" for cell in row):
                kept.append(row[: len(names)])
                lines.append(line)
            if len(kept) == CHUNK_ROWS:
                yield pd.DataFrame(kept, columns=list(names), index=lines)
                kept, lines = [], []
        if kept:
            yield pd.DataFrame(kept, columns=list(names), index=lines)

    def _rows(self, path: Path) -> Iterator[tuple[str, ...]]:
        """Yield the rows as text, all as wide as the sheet; of the first, empty cells at its end are cut."""
        openpyxl = import_extra("openpyxl", "xlsx", "Excel files")
        try:
            book = openpyxl.load_workbook(path.open("rb"), read_only=True, data_only=True)
            rows = book.worksheets[0].iter_rows(values_only=True)
        except (OSError, KeyError, ValueError, IndexError, BadZipFile) as error:
            raise InputError(f"{path} cannot be read as an Excel workbook: {error}") from None
        header = [_cell(cell) for cell in next(rows, ())]
        while header and not header[-1]:
            header.pop()
        yield tuple(header)
        for row in rows:
            yield tuple(_cell(cell) for cell in row) + ("",) * (len(header) - len(row))


class Hdf5:
    """AnnData, and other HDF5 files with a dataset for each column, by h5py."""

    def names(self, path: Path) -> list[str]:
        return hdf5_names(path)

    def pieces(self, path: Path, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        for first, values in hdf5_pieces(path, columns, CHUNK_ROWS):
            frame = pd.DataFrame({name: as_text(pd.Series(each)) for name, each in values.items()})
            yield frame.set_axis(range(first + FIRST_LINE, first + FIRST_LINE + len(frame)))


FORMATS: dict[bytes, Format] = {
    b"PAR1": Parquet(),
    b"PK\x03\x04": Excel(),
    b"\x89HDF\r\n\x1a\n": Hdf5(),
}
OLD_EXCEL = b"\xd0\xcf\x11\xe0"


def format_of(path: Path) -> Format:
    """Return how a file is read, by its first bytes; InputError where there is no such file."""
    if not exists(path):
        raise InputError(f"{path} does not exist; wanted a table")
    with open_bytes(path) as file:
        head = file.read(8)
    if head.startswith(OLD_EXCEL):
        raise InputError(f"{path} is of an old version of Excel; save it as .xlsx or CSV")
    return next((each for magic, each in FORMATS.items() if head.startswith(magic)), Delimited())


def column_names(path: Path) -> list[str]:
    """Return the names of a table's columns."""
    names = format_of(path).names(path)
    name, count = Counter(filter(None, names)).most_common(1)[0] if any(names) else ("", 1)
    if count > 1:
        raise InputError(f"{path} has {count} columns called {name!r}; wanted different names")
    return names


def read_columns(path: Path, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Yield these columns of a table, and maybe others, piece by piece; InputError where it has no rows."""
    empty = True
    for piece in format_of(path).pieces(path, list(dict.fromkeys(columns))):
        empty = empty and piece.empty
        yield piece
    if empty:
        raise InputError(f"{path} has a header but no rows")


def as_text(column: pd.Series) -> pd.Series:
    """Return cells as text; one without a value is empty, and a truth value is 0 or 1."""
    if column.dtype == np.bool_:
        column = column.astype(int)
    if column.dtype == object:
        return column.map(_cell)
    return column.astype(str).mask(column.isna(), "")


def _cell(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if pd.isna(value):
        return ""
    return str(int(value)) if isinstance(value, bool | np.bool_) else str(value)
