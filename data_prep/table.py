"""Any table with a sequence column: CSV or TSV, plain or gzipped, one row an example.

Example, the random promoters of a yeast library, folds by the column "group":

    python -m data_prep table yeast_gpra_complex.tsv.gz --name yeast_gpra --where experiment=HQ_pTpA_Glu \\
        --target expression --unit "mean FACS bin, 0..17"

Expression of genes from a promoter and features, logarithms taken, whole chromosomes held out for the test:

    python -m data_prep table genes.tsv --sequence promoter --group chromosome --test chromosome=D,L,O \\
        --target 'log10(fpkm+0.1)' --input 'half_life=log10(half_life_min),cds_gc' --standardise

Rows with several sequences, each from a column of its name:

    python -m data_prep table cassettes.csv --sequence promoter,terminator --origin promoter=1000

A column "usage" says which rows are for training (train) and which are test rows whose answers are kept from
the models (public or private); without it every row is for training. The file is read in pieces.
"""

import argparse
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from competition.base.errors import InputError, one_of
from competition.data.declaration import Declaration, Score, Target
from competition.data.tokens import encode
from competition.data.writer import ChallengeWriter, create_challenge
from data_prep.reading.columns import (
    Columns,
    answers_of,
    choose_rows,
    find_moments,
    ids_of,
    subset_names,
    subset_rows,
    usage_of,
)
from data_prep.reading.construct import add_construct, declare_windows, name_sequences, read_construct
from data_prep.reading.delimited import read_pieces, refuse
from data_prep.reading.labels import metrics_of
from data_prep.reading.numbers import parse_number, read_input, read_numbers, read_weights

SPECIAL = ("id", "group", "fold", "usage")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command-line options."""
    add = parser.add_argument
    add("file", type=Path, help="the table; TAB-separated where its name has .tsv or .txt")
    add("--name", help="name of the challenge (default: of the file)")
    add("--sequence", default="sequence", metavar="COLUMN|NAME=COLUMN,...",
        help="column of sequences, or those of several sequences a row (default: %(default)s)")  # fmt: skip
    add(
        "--target",
        action="append",
        metavar="COLUMN",
        help="column to predict, or its logarithm as 'log10(COLUMN+0.1)'; repeatable (default: expression)",
    )
    add("--unit", default="", help="unit of the targets")
    for name in SPECIAL:
        add(f"--{name}", metavar="COLUMN", help=f"column of {name}s (default: {name}, where there is one)")
    add("--weight", metavar="COLUMN",
        help="column of the weights that training rows have in the loss, on any scale")  # fmt: skip
    add("--subset", metavar="COLUMN", help="column that names a subset of test rows to be scored by itself")
    add("--input", action="append", default=[], metavar="NAME=COLUMN,...",
        help="numeric columns, or logarithms of such, as an input of the model; repeatable")  # fmt: skip
    add("--standardise", action="store_true",
        help="inputs become z-scores by the training rows; an empty cell becomes 0, their mean")  # fmt: skip
    add(
        "--test",
        metavar="COLUMN=VALUE,...",
        help="rows with these values are for testing; their answers are private",
    )
    add(
        "--where",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="take these rows only, or with COLUMN!=VALUE all others; repeatable",
    )
    _add_declared(parser)


def _add_declared(parser: argparse.ArgumentParser) -> None:
    """Declare the options that the challenge itself declares: construct, rules and source."""
    add = parser.add_argument
    add_construct(add)
    add(
        "--split-near-duplicates",
        action="store_true",
        help="near-duplicate sequences may be in different folds",
    )
    add("--rank-by", metavar="SCORE",
        help="what the board ranks by (default: pearson; auroc where every target is 0 or 1)")  # fmt: skip
    add("--tie-break", default="", metavar="SCORE", help="what orders submissions that are a tie")
    add("--tie-bayes-factor", type=float, metavar="K",
        help="a tie is a Bayes factor under K (default: a 95 %% interval that holds 0)")  # fmt: skip
    add("--no-ensembles", action="store_true", help="the rules forbid ensembles")
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
        _require(column.removesuffix("!"), list(first.columns), "--where")
    if options.standardise:
        columns = columns._replace(moments=find_moments(options.file, columns, wanted))
    subsets = subset_names(options.file, columns) if columns.subset else []
    metrics = metrics_of(options.file, columns, wanted)
    challenge = declare(name, columns, options, subsets, metrics)
    with create_challenge(folder, challenge, overwrite=options.overwrite) as writer:
        counts = write(writer, _chain(first, pieces), columns, wanted, options.file)
        writer.declaration = declare_windows(writer)
    print(f"{folder}: {counts['train']:,} training rows, {counts['test']:,} test rows")


def declare(
    name: str,
    columns: Columns,
    options: argparse.Namespace,
    subsets: Sequence[str],
    metrics: Sequence[str],
) -> Declaration:
    """Return the declaration: a score for each metric, and the first of them by subset."""
    scores = [Score.of(metric, unit=options.unit) for metric in metrics]
    scores += [Score.of(metrics[0], f"{metrics[0]}_{s}", subset=s) for s in subsets]
    names = [score.name for score in scores]
    rank_by = options.rank_by or metrics[0]
    if rank_by not in names:
        raise one_of("score for --rank-by", rank_by, names)
    scores.sort(key=lambda score: score.name != rank_by)
    return Declaration(
        name=name,
        targets=tuple(Target(target.name, options.unit or target.unit) for target in columns.targets),
        scores=tuple(scores),
        title=options.title,
        source=options.source,
        licence=options.licence,
        sequences=read_construct(list(columns.sequences), options),
        inputs={name: (len(members),) for name, members in columns.inputs.items()},
        subsets=dict.fromkeys(subsets, "rows"),
        near_duplicates=not options.split_near_duplicates,
        row_weights=columns.weight is not None,
        tie_break=options.tie_break,
        tie_bayes_factor=options.tie_bayes_factor,
        ensembles=not options.no_ensembles,
    )


def find_columns(there: list[str], options: argparse.Namespace) -> Columns:
    """Match the options to the columns of the table; InputError suggests the nearest for a wrong name."""
    targets = tuple(map(parse_number, options.target or ["expression"]))
    inputs = {
        name: tuple(map(parse_number, text.split(",")))
        for name, text in (_pair(each, "--input") for each in options.input)
    }
    for name in inputs:
        if not name.isidentifier() or name == "sequence":
            raise InputError(f"--input {name}: wanted the name of an argument of forward, such as half_life")
    weight = parse_number(options.weight) if options.weight else None
    members = [*targets, *(number for each in inputs.values() for number in each), weight]
    sequences = name_sequences(options.sequence)
    for column in (*sequences.values(), *(number.column for number in members if number)):
        _require(column, there, "the table")
    special: dict[str, Any] = {}
    for name in (*SPECIAL, "subset"):
        column = getattr(options, name)
        if column is not None:
            _require(column, there, f"--{name}")
        special[name] = column or (name if name in there and name in SPECIAL else None)
    test = None
    if options.test:
        column, values = _pair(options.test, "--test")
        _require(column, there, "--test")
        if special["usage"]:
            raise InputError(f"--test {options.test}: the column {special['usage']!r} says that already")
        test = (column, frozenset(values.split(",")))
    return Columns(sequences, targets, inputs=inputs, weight=weight, test=test, **special)


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
        piece = choose_rows(piece, wanted)
        if piece.empty:
            continue
        usage = usage_of(piece, columns, path)
        test = usage != "train"
        for part, rows in (("train", piece[~test]), ("test", piece[test])):
            if len(rows):
                _append(writer, part, rows, columns, path)
                counts[part] += len(rows)
        if test.any():
            answers.append(answers_of(piece[test], usage[test], columns, path))
            if columns.subset:
                subsets.append(subset_rows(piece[test], columns))
    if not counts["train"]:
        raise InputError(f"{path}: no row is for training; check --where and the usage column")
    if answers:
        writer.write_answers(pd.concat(answers))
        writer.write_subsets(pd.concat([pd.DataFrame(columns=["subset", "id", "reference"]), *subsets]))
    return counts


def _append(writer: ChallengeWriter, part: str, rows: pd.DataFrame, columns: Columns, path: Path) -> None:
    tokens, lengths = {}, {}
    for name, column in columns.sequences.items():
        where = str(path) if len(columns.sequences) == 1 else f"{path}, {column}"
        tokens[name], lengths[name] = encode(rows[column].to_list(), name=where, lines=rows.index)
    inputs = {
        name: np.stack([read_input(rows, number, columns.moments, path) for number in members], axis=1)
        for name, members in columns.inputs.items()
    }
    carried = {"id": ids_of(rows, columns)}
    for name in ("group", "fold"):
        column = getattr(columns, name)
        if column is not None and part == "train":
            refuse(rows[column] == "", rows[column], path, f"a {name} for every training row")
            carried[name] = rows[column].to_list()
    if part == "test":
        writer.test.append(tokens, lengths, inputs=inputs, rows=carried)
        return
    target = np.stack([read_numbers(rows, number, path) for number in columns.targets], axis=1)
    weight = read_weights(rows, columns.weight, path) if columns.weight else None
    writer.train.append(tokens, lengths, target=target, weight=weight, inputs=inputs, rows=carried)
