"""Any table with a sequence column: CSV or TSV, plain or gzipped, one row an example.

Example, the random promoters of a yeast library, folds by the column "group":

    python -m data_prep table yeast_gpra_complex.tsv.gz --name yeast_gpra --where experiment=HQ_pTpA_Glu \\
        --target expression --unit "mean FACS bin, 0..17"

A column "usage" says which rows are for training (train) and which are test rows whose answers are kept from
the models (public or private); without it every row is for training. The file is read in pieces.
"""

import argparse
import csv
import io
import warnings
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from competition.data.challenge import Challenge, ChallengeWriter, Score, Target, create_challenge
from competition.data.tokens import LETTERS, encode
from competition.errors import InputError
from data_prep.two_columns import open_bytes

CHUNK_ROWS = 50_000
USAGES = ("train", "public", "private")
SPECIAL = ("id", "group", "fold", "usage")


class Columns(NamedTuple):
    """Which column of the table is what; None where there is none."""

    sequence: str
    targets: tuple[str, ...]
    id: str | None
    group: str | None
    fold: str | None
    usage: str | None
    subset: str | None
    inputs: dict[str, tuple[str, ...]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command-line options."""
    add = parser.add_argument
    add("file", type=Path, help="the table; TAB-separated where its name has .tsv or .txt")
    add("--name", help="name of the challenge (default: of the file)")
    add("--sequence", default="sequence", help="column of sequences (default: %(default)s)")
    add(
        "--target",
        action="append",
        metavar="COLUMN",
        help="column to predict; repeatable (default: expression)",
    )
    add("--unit", default="", help="unit of the targets")
    for name in SPECIAL:
        add(f"--{name}", metavar="COLUMN", help=f"column of {name}s (default: {name}, where there is one)")
    add("--subset", metavar="COLUMN", help="column that names a subset of test rows to be scored by itself")
    add("--input", action="append", default=[], metavar="NAME=COLUMN,...",
        help="numeric columns as an input of the model; repeatable")  # fmt: skip
    add(
        "--where",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="take these rows only; repeatable",
    )
    add("--origin", type=int, default=0, help="base that windows count from (default: %(default)s)")
    add("--left-flank", default="", help="bases of the construct before every sequence")
    add("--right-flank", default="", help="bases of the construct after every sequence")
    add("--apart", action="store_true", help="near-duplicate sequences may be in different folds")
    for name in ("title", "source", "licence"):
        add(f"--{name}", default="", help=f"{name} of the data")


def prepare(options: argparse.Namespace) -> None:
    """Build the challenge that the command line asks for, and say what it holds."""
    name = options.name or options.file.name.split(".")[0]
    folder = options.output or Path("data") / name
    pieces = read_pieces(options.file)
    first = next(pieces)
    columns = find_columns(list(first.columns), options)
    wanted = dict(_pair(text, "--where") for text in options.where)
    for column in wanted:
        _require(column, list(first.columns), "--where")
    subsets = _subset_names(options.file, columns) if columns.subset and columns.usage else []
    challenge = declare(name, columns, options, subsets)
    with create_challenge(folder, challenge, overwrite=options.overwrite) as writer:
        counts = write(writer, _chain(first, pieces), columns, wanted, options.file)
    print(f"{folder}: {counts['train']:,} training rows, {counts['test']:,} test rows")


def declare(name: str, columns: Columns, options: argparse.Namespace, subsets: Sequence[str]) -> Challenge:
    """Return the declaration: the usual scores, and Pearson by subset."""
    infinite = float("inf")
    scores = [
        Score("pearson", "pearson", "maximize", -1, 1),
        Score("spearman", "spearman", "maximize", -1, 1),
        Score("mse", "mse", "minimize", 0, infinite, unit=f"squared {options.unit or 'units'}"),
        Score("R2", "R2", "maximize", -infinite, 1),
        Score("r2", "r2", "maximize", 0, 1),
        Score("mae", "mae", "minimize", 0, infinite, unit=options.unit),
    ]
    scores += [Score(f"pearson_{s}", "pearson", "maximize", -1, 1, subset=s) for s in subsets]
    return Challenge(
        name=name,
        targets=tuple(Target(target, options.unit) for target in columns.targets),
        scores=tuple(scores),
        title=options.title,
        source=options.source,
        licence=options.licence,
        origin=options.origin,
        left_flank=options.left_flank,
        right_flank=options.right_flank,
        inputs={name: (len(members),) for name, members in columns.inputs.items()},
        subsets=dict.fromkeys(subsets, "rows"),
        near_duplicates=not options.apart,
    )


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


def find_columns(there: list[str], options: argparse.Namespace) -> Columns:
    """Match the options to the columns of the table; InputError suggests the nearest for a wrong name."""
    targets = tuple(options.target or ["expression"])
    inputs = {name: tuple(text.split(",")) for name, text in (_pair(x, "--input") for x in options.input)}
    for name in inputs:
        if not name.isidentifier() or name == "sequence":
            raise InputError(f"--input {name}: wanted the name of an argument of forward, such as half_life")
    for column in (options.sequence, *targets, *(c for members in inputs.values() for c in members)):
        _require(column, there, "the table")
    special = {}
    for name in (*SPECIAL, "subset"):
        column = getattr(options, name)
        if column is not None:
            _require(column, there, f"--{name}")
        special[name] = column or (name if name in there and name in SPECIAL else None)
    return Columns(options.sequence, targets, inputs=inputs, **special)


def _require(column: str, there: list[str], where: str) -> None:
    if column not in there:
        near = get_close_matches(column, there, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"{where}: there is no column {column!r}{hint} The columns are: {', '.join(there)}")


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"{option} {text}: wanted NAME=VALUE")
    return name, value


def _chain(first: pd.DataFrame, rest: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    yield first
    yield from rest


def _subset_names(path: Path, columns: Columns) -> list[str]:
    names: set[str] = set()
    for piece in read_pieces(path):
        test = piece[columns.usage].str.lower() != "train"
        names |= set(piece[columns.subset][test]) - {""}
    if "all" in names:
        raise InputError(f"{path}: a subset is called 'all', which is every row; wanted another name")
    return sorted(names)


def write(
    writer: ChallengeWriter,
    pieces: Iterator[pd.DataFrame],
    columns: Columns,
    wanted: dict[str, str],
    path: Path,
) -> dict[str, int]:
    """Write the rows that are wanted; return how many are for training and for testing."""
    counts = {"train": 0, "test": 0}
    answers, subsets = [], []
    for piece in pieces:
        for column, value in wanted.items():
            piece = piece[piece[column] == value]
        if piece.empty:
            continue
        usage = _usage(piece, columns, path)
        test = usage != "train"
        for part, rows in (("train", piece[~test]), ("test", piece[test])):
            if len(rows):
                _append(writer, part, rows, columns, path)
                counts[part] += len(rows)
        if test.any():
            answers.append(_answers(piece[test], usage[test], columns, path))
            if columns.subset:
                subsets.append(_subset_rows(piece[test], columns))
    if not counts["train"]:
        raise InputError(f"{path}: no row is for training; check --where and the usage column")
    if answers:
        writer.write_answers(pd.concat(answers))
        writer.write_subsets(pd.concat([pd.DataFrame(columns=["subset", "id", "reference"]), *subsets]))
    return counts


def _usage(piece: pd.DataFrame, columns: Columns, path: Path) -> pd.Series:
    if columns.usage is None:
        return pd.Series("train", index=piece.index)
    usage = piece[columns.usage].str.strip().str.lower()
    bad = ~usage.isin(USAGES)
    if bad.any():
        row = bad.idxmax()
        raise InputError(
            f"{path}: line {row + 2} has the usage {piece[columns.usage][row]!r}; wanted {', '.join(USAGES)}"
        )
    return usage


def _append(writer: ChallengeWriter, part: str, rows: pd.DataFrame, columns: Columns, path: Path) -> None:
    tokens, lengths = _encode(rows[columns.sequence], path)
    inputs = {
        name: np.stack([_numbers(rows[column], path) for column in members], axis=1)
        for name, members in columns.inputs.items()
    }
    carried = {"id": _ids(rows, columns)}
    for name in ("group", "fold"):
        column = getattr(columns, name)
        if column is not None and part == "train":
            carried[name] = rows[column].to_list()
            if "" in carried[name]:
                line = rows.index[carried[name].index("")] + 2
                raise InputError(f"{path}: line {line} has no {name}; wanted one for every training row")
    target = None
    if part == "train":
        target = np.stack([_numbers(rows[name], path) for name in columns.targets], axis=1)
    store = writer.train if part == "train" else writer.test
    store.append(tokens, lengths, target=target, inputs=inputs, rows=carried)


def _ids(rows: pd.DataFrame, columns: Columns) -> list[str]:
    return rows[columns.id].to_list() if columns.id else [str(row) for row in rows.index]


def _encode(sequences: pd.Series, path: Path) -> tuple[np.ndarray, np.ndarray]:
    bad = ~sequences.str.fullmatch(f"[{LETTERS}U{LETTERS.lower()}u]+")
    if bad.any():
        line, sequence = int(bad.idxmax()) + 2, sequences[bad.idxmax()]
        if not sequence:
            raise InputError(f"{path}: line {line} has no sequence")
        position = next(i for i, letter in enumerate(sequence) if letter.upper() not in LETTERS + "U")
        raise InputError(
            f"{path}: line {line} has {sequence[position]!r} at position {position} of its sequence; "
            f"wanted IUPAC letters ({LETTERS} or U)"
        )
    return encode(sequences.to_list(), name=str(path))


def _numbers(column: pd.Series, path: Path, *, missing: bool = False) -> np.ndarray:
    """Read a column as float64; missing allows empty cells, which become NaN."""
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
    return values


def _answers(rows: pd.DataFrame, usage: pd.Series, columns: Columns, path: Path) -> pd.DataFrame:
    values = {name: _numbers(rows[name], path, missing=True) for name in columns.targets}
    return pd.DataFrame({"id": _ids(rows, columns), **values, "usage": usage.to_list()})


def _subset_rows(rows: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"subset": rows[columns.subset].to_list(), "id": _ids(rows, columns), "reference": ""}
    )
    return frame[frame.subset != ""]
