"""Read predictions of any format as one table of an id and a column for each target.

A CSV or TSV has a heading for each column or none; beside an id stands a value for each target, and the
values of a single target may have any heading. The sequences of the test set, under any heading, may stand
for the ids. The JSON of DREAM 2022 is {"id": value}. Each may be gzipped: the content, not the name, decides.
"""

import gzip
import io
import json
import re
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from competition.data.challenge import Challenge, target_names, test_ids, test_sequences
from competition.data.tokens import LETTERS

# Python and numpy also read 1_000 and the digits of every script; a typo should not become a score.
NUMBER = (
    r"[ \t]*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+|[iI][nN][fF]([iI][nN][iI][tT][yY])?)([eE][+-]?[0-9]+)?[ \t]*"
)
GZIP = b"\x1f\x8b"  # how a gzipped file begins
MOST_BYTES = 1 << 30  # of a file's text: a gzipped file of a megabyte can hold a thousand times as much
MOST_COLUMNS = 10_000  # pandas takes 35 microseconds for each, and a line of ten million commas is no table
SHOWN = 40  # characters of a cell that a message quotes


def read_predictions(path: Path, challenge: Challenge) -> pd.DataFrame:
    """Read predictions in any form as a table of id and target columns, the cells as text or numbers.

    Raises InputError for a file that is no table of predictions. What is in the table is not checked:
    ids may be missing or unknown and values no numbers, and there may be other columns.
    """
    targets = target_names(challenge.declaration)
    text = read_text(path)
    if path.name.removesuffix(".gz").endswith(".json") or re.match(r"\s*\{", text):
        table = _read_json(text, path, targets)
    else:
        table = _with_headings(parse_table(text, path, sep=_separator(text)), path, challenge)
    return _rename_only_column(_by_id(table, path, challenge), targets)


def read_text(path: Path) -> str:
    """Read a text file, plain or gzipped; InputError for anything else, without waiting on a pipe."""
    try:
        if path.exists() and not path.is_file():  # a pipe would wait for a writer
            raise InputError(f"{path} is not a file; wanted a table of predictions")
        with path.open("rb") as file:
            is_gzip = file.read(len(GZIP)) == GZIP
            file.seek(0)
            data = (gzip.GzipFile(fileobj=file) if is_gzip else file).read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; wanted a submission") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is damaged or cut off: {error}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise InputError(f"{path} cannot be read as a table: it holds more than {MOST_BYTES:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} cannot be read as a table: byte {error.start:,} is not UTF-8") from None
    if not text.strip():
        raise InputError(f"{path} cannot be read as a table: it is empty")
    return text


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV with headings, every cell as text; InputError where the file is not a table."""
    return _take_headings(parse_table(read_text(path), path), path)


def parse_table(text: str, path: Path, *, sep: str = ",") -> pd.DataFrame:
    """Parse the text of a CSV, every cell as text and the headings, if any, as its first row."""
    num_columns = _first_line(text).count(sep) + 1
    if num_columns > MOST_COLUMNS:
        raise InputError(f"{path} cannot be read as a table: its first line has {num_columns:,} columns")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                io.StringIO(text), sep=sep, dtype=str, keep_default_na=False, index_col=False, header=None
            )
    except pd.errors.ParserWarning:
        reason = "a line has more columns than the first"
    except ValueError as error:
        reason = str(error).strip()
    raise InputError(f"{path} cannot be read as a table: {reason}")


def quote(value: object) -> str:
    """Format a cell for a message: on one line, and cut where it is long."""
    text = str(value)
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:SHOWN])
    return shown if len(text) <= SHOWN else f"{shown}..."


def _first_line(text: str) -> str:
    return re.split("[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]


def _separator(text: str) -> str:
    return "\t" if "\t" in _first_line(text) else ","


def _read_json(text: str, path: Path, targets: Sequence[str]) -> pd.DataFrame:
    try:
        pairs = json.loads(text, object_pairs_hook=list)  # a dict would hide an id that comes twice
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from None
    except RecursionError:
        raise InputError(f'{path} is nested too deeply; wanted {{"id": value, ...}}') from None
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        raise InputError(f'{path} is not of the form {{"id": value, ...}}')
    rows = [value if isinstance(value, list) else [value] for _, value in pairs]
    if any(len(row) != len(targets) for row in rows):
        raise InputError(f"{path}: wanted {len(targets)} values an id ({', '.join(targets)})")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(targets)}
    return pd.DataFrame({"id": [key for key, _ in pairs], **columns})


def _with_headings(table: pd.DataFrame, path: Path, challenge: Challenge) -> pd.DataFrame:
    """Name the columns of a table by its first row, or by the challenge where that row holds values."""
    first, targets = table.iloc[0].tolist(), target_names(challenge.declaration)
    is_row = re.fullmatch(f"{NUMBER}|nan", first[-1]) or first[0] in test_ids(challenge)
    has_one = len(challenge.declaration.sequences) == 1
    if "id" in first or not (is_row or (has_one and _normalise(first[0]) in test_sequences(challenge))):
        return _take_headings(table, path)
    if table.shape[1] != 1 + len(targets):
        raise InputError(f"{path} has {table.shape[1]} columns; wanted an id and {', '.join(targets)}")
    return table.set_axis(["id", *targets], axis=1)


def _take_headings(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    names = table.iloc[0]
    if names.duplicated().any():  # pandas would make a name of its own for the second
        twice = quote(names[names.duplicated()].iloc[0])
        raise InputError(f"{path} has two columns '{twice}'; wanted each once")
    return table.iloc[1:].set_axis(names.tolist(), axis=1).reset_index(drop=True)


def _rename_only_column(table: pd.DataFrame, targets: Sequence[str]) -> pd.DataFrame:
    """Accept any heading over the values of a single target."""
    others = [name for name in table.columns if name != "id"]
    if len(targets) == len(others) == 1 and "id" in table:
        return table.rename(columns={others[0]: targets[0]})
    return table


def _by_id(table: pd.DataFrame, path: Path, challenge: Challenge) -> pd.DataFrame:
    """Replace sequences of the test set by ids; a table without sequences is left as it is."""
    ids = test_ids(challenge)
    if table.empty or ("id" in table and (ids.get_indexer(table["id"]) >= 0).any()):
        return table
    keys = [name for name in table if name == "id" or "id" not in table]
    keys = [name for name in keys if table[name].map(_is_sequence).any()]
    if keys and len(challenge.declaration.sequences) > 1:
        raise InputError(
            f"{path}: what column '{quote(keys[0])}' holds is no id; wanted ids, as the rows of "
            f"{challenge.declaration.name} have several sequences each"
        )
    known = pd.Series(ids).groupby(np.array(test_sequences(challenge), dtype=object), sort=False).agg(list)
    for key in keys:
        if table[key].map(_normalise).isin(known.index).any():
            return _expand(table, key, known)
    if keys:
        raise InputError(
            f"{path}: what column '{quote(keys[0])}' holds is neither an id nor a sequence of the test set "
            f"(such as '{quote(table[keys[0]].iloc[0])}')"
        )
    return table


def _is_sequence(text: object) -> bool:
    return isinstance(text, str) and re.fullmatch(f"[{LETTERS}U]{{4,}}", text.upper()) is not None


def _normalise(text: object) -> str:
    return str(text).strip().upper().replace("U", "T")


def _expand(table: pd.DataFrame, key: str, known: pd.Series) -> pd.DataFrame:
    """Give each test row the values beside its sequence, from known: sequence -> its ids.

    A sequence of several test rows may be repeated as often, with the same values.
    """
    texts = table[key].map(_normalise)
    shared = texts.isin(known.index[known.str.len() > 1])
    once = ~(shared & table.assign(**{key: texts}).duplicated())
    table, texts = table[once], texts[once]
    ids = texts.map(known).where(texts.isin(known.index), texts.map(lambda text: [quote(text)]))
    return table.drop(columns=key).assign(id=ids).explode("id")
