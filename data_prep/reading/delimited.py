"""Read CSV and TSV files, whole or piece by piece, as text; the index is the number of the line."""

import csv
import io
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from data_prep.reading.files import RawFile, exists, open_bytes

CHUNK_ROWS = 50_000
SNIFFED_BYTES = 1 << 16
BASES = re.compile(r"[ACGTUNacgtun]{20,}")  # no name of a column
NUMBER = re.compile(r"[+-]?[\d.]+(e[+-]?\d+)?")
FIRST_LINE = 2  # of the rows below a header


def read_table(path: Path) -> pd.DataFrame:
    """Read the whole table; see read_pieces."""
    return pd.concat(read_pieces(path))


def read_pieces(path: Path) -> Iterator[pd.DataFrame]:
    """Yield the table piece by piece with every cell as text; InputError where it is no table."""
    if not exists(path):
        raise InputError(f"{path} does not exist; wanted a CSV or TSV file")
    separator, empty = find_separator(path), True
    with open_bytes(path) as file, warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # a row longer than the header
        try:
            for piece in _parse(file, separator, path):
                empty = empty and piece.empty
                yield piece
        except pd.errors.EmptyDataError:
            raise InputError(f"{path} is empty; wanted a header and rows") from None
        except pd.errors.ParserWarning:
            raise InputError(f"{path}: {_long_line(path, separator)}") from None
        except (pd.errors.ParserError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is not a table: {str(error).strip()}") from None
    if empty:
        raise InputError(f"{path} has a header but no rows")


def refuse_missing_header(names: list[str], path: Path) -> None:
    """Raise InputError where the first line holds a sequence, with a command that adds names."""
    if any(BASES.fullmatch(name) for name in names):
        added = [
            "sequence" if BASES.fullmatch(name) else "expression" if NUMBER.fullmatch(name) else f"column{i}"
            for i, name in enumerate(names, 1)
        ]
        header = find_separator(path).join(added).replace("\t", "\\t")
        raise InputError(
            f"{path}: the first line is a row; wanted names of columns, such as: (printf '{header}\\n'; "
            f"gzip -cdf {path}) | python -m data_prep table - --name NAME"
        )


def find_separator(path: Path) -> str:
    """Return what separates cells: as the name says, unless the first lines say TAB, comma or semicolon."""
    by_name = "\t" if {".tsv", ".txt"} & set(path.suffixes) else ","
    with open_bytes(path) as file:
        text = file.read(SNIFFED_BYTES)
    lines = text.decode("utf-8-sig", "replace").splitlines(keepends=True)
    whole = lines if len(text) < SNIFFED_BYTES else lines[:-1] or lines
    for separator in (by_name, "\t", ",", ";"):
        widths = {len(row) for row in csv.reader(whole, delimiter=separator) if row}
        if len(widths) == 1 and widths != {1}:
            return separator
    return by_name


def _parse(file: RawFile, separator: str, path: Path) -> Iterator[pd.DataFrame]:
    pieces = pd.read_csv(
        file, sep=separator, dtype=str, keep_default_na=False, chunksize=CHUNK_ROWS,
        index_col=False, on_bad_lines="error", encoding="utf-8-sig",
    )  # fmt: skip
    for piece in pieces:
        piece.index = piece.index + FIRST_LINE
        short = piece.isna().any(axis=1)
        if short.any():
            columns = piece.shape[1]
            raise InputError(f"{path}: line {short.idxmax()} has fewer columns than the header's {columns}")
        yield piece


def _long_line(path: Path, separator: str) -> str:
    """Say which line is the first with more cells than the header; pandas only says that there is one."""
    with open_bytes(path) as file:
        reader = csv.reader(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""), delimiter=separator)
        width = len(next(reader))
        row = next(row for row in reader if len(row) > width)
        hint = ", and quotes around a cell that holds a comma" if separator == "," else ""
    return f"line {reader.line_num} has {len(row)} columns; wanted the header's {width}{hint}"


def require_columns(wanted: Iterable[str], there: Iterable[object], path: Path) -> None:
    """Raise InputError for the first column that a table does not have."""
    names = [str(name) for name in there]
    for column in wanted:
        if column not in names:
            raise InputError(f"{path} has no column {column!r}; it has {', '.join(names)[:400]}")


def refuse(bad: np.ndarray | pd.Series, column: pd.Series, path: Path, wanted: str) -> None:
    """Raise InputError for the first bad cell of a column, if there is one."""
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{path}: line {column.index[row]} has the {column.name} {column.iloc[row]!r}; wanted {wanted}"
        )
