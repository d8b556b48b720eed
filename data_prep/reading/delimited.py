"""Read CSV and TSV files piece by piece."""

import csv
import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from competition.base.errors import InputError
from data_prep.reading.files import open_bytes

CHUNK_ROWS = 50_000


def read_pieces(path: Path) -> Iterator[pd.DataFrame]:
    """Yield the table piece by piece with every cell as text; InputError where it is no table."""
    if not path.exists():
        raise InputError(f"{path} does not exist; wanted a CSV or TSV file")
    separator = "\t" if {".tsv", ".txt"} & set(path.suffixes) else ","
    empty = True
    with open_bytes(path) as file, warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # a row longer than the header
        try:
            pieces = pd.read_csv(
                file, sep=separator, dtype=str, keep_default_na=False, chunksize=CHUNK_ROWS,
                index_col=False, on_bad_lines="error", encoding="utf-8-sig",
            )  # fmt: skip
            for piece in pieces:
                short = piece.isna().any(axis=1)
                if short.any():
                    line = int(short.idxmax()) + 2
                    raise InputError(
                        f"{path}: line {line} has fewer columns than the header's {piece.shape[1]}"
                    )
                empty = empty and piece.empty
                yield piece
        except pd.errors.EmptyDataError:
            raise InputError(f"{path} is empty; wanted a header and rows") from None
        except pd.errors.ParserWarning:
            raise InputError(f"{path}: {_long_line(path, separator)}") from None
        except (pd.errors.ParserError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is not a table: {str(error).strip()}") from None
        except (EOFError, OSError) as error:
            raise InputError(f"{path} is damaged or cut off: {error}") from None
    if empty:
        raise InputError(f"{path} has a header but no rows")


def _long_line(path: Path, separator: str) -> str:
    """Say which line is the first with more cells than the header; pandas only says that there is one."""
    with open_bytes(path) as file:
        reader = csv.reader(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""), delimiter=separator)
        width = len(next(reader))
        row = next(row for row in reader if len(row) > width)
        return f"line {reader.line_num} has {len(row)} columns; wanted the header's {width}"
