"""Any table with a sequence column: CSV, TSV, parquet, Excel, AnnData or HDF5, one row an example.

Example, the random promoters of a yeast library, folds by the column "group":

    python -m data_prep table yeast_gpra_complex.tsv.gz --name yeast_gpra --where experiment=HQ_pTpA_Glu \\
        --target expression --unit "mean FACS bin, 0..17"

Expression of genes from a promoter and features, logarithms taken, whole chromosomes held out for the test:

    python -m data_prep table genes.tsv --sequence promoter --group chromosome --test chromosome=D,L,O \\
        --target 'log10(fpkm+0.1)' --input 'half_life=log10(half_life_min),cds_gc' --standardise

Rows with several sequences, each from a column of its name:

    python -m data_prep table cassettes.csv --sequence promoter,terminator --origin promoter=1000

Several files, the last of test rows; sequences in FASTA are joined to rows by their id:

    python -m data_prep table --train a.tsv --train b.tsv.gz --test c.xlsx --fasta promoters.fa

A test set of a tenth of the rows, whole homology clusters on one side, half of its answers public:

    python -m data_prep table measured.csv --test-fraction 0.1 --public-fraction 0.5

A column "usage" says which rows are for training (train) and which are test rows whose answers are kept from
the models (public or private); without it, and without --test, every row is for training. Text may be
gzipped, and separated by TAB, comma or semicolon. Files are read in pieces, several times.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from competition.base.errors import InputError, one_of
from competition.data.declaration import Declaration, Score, Target
from competition.data.writer import ChallengeWriter, create_challenge
from data_prep.reading.columns import Columns, find_columns, overlooked, split_pair
from data_prep.reading.construct import check_origins, declare_windows, read_construct
from data_prep.reading.delimited import refuse
from data_prep.reading.duplicates import add_duplicates
from data_prep.reading.formats import column_names
from data_prep.reading.inputs import default_name, find_files, scratch_folder
from data_prep.reading.join import Join
from data_prep.reading.labels import metrics_of
from data_prep.reading.missing import SkipMissing
from data_prep.reading.moments import find_moments, subset_names
from data_prep.reading.numbers import is_missing, read_input, read_numbers, read_weights, unit_of
from data_prep.reading.rows import File, Piece, Table, check_file
from data_prep.reading.sequences import encode_rows
from data_prep.reading.split import groups_of, split_rows
from data_prep.reading.table_options import add_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command-line options."""
    add_options(parser)


def prepare(options: argparse.Namespace) -> None:
    """Build the challenge that the command line asks for, and say what it holds."""
    name = default_name(options)
    folder = options.output or Path("data") / name
    with scratch_folder() as scratch, find_files(options, scratch) as files:
        table = open_table(files, options, scratch)
        split_rows(table, declare(name, table.columns, options), options, scratch)
        table.columns = table.columns._replace(moments=find_moments(table))
        challenge = declare(name, table.columns, options)
        challenge = add_scores(challenge, options, metrics_of(table), subset_names(table))
        with create_challenge(folder, challenge, overwrite=options.overwrite) as writer:
            counts = write(writer, table)
            require_parts(counts, table, options)
            check_origins(writer)
            writer.declaration = declare_windows(writer)
    for note in table.notes:
        print(note)
    print(f"{folder}: {counts['train']:,} training rows, {counts['test']:,} test rows")


def open_table(files: list[File], options: argparse.Namespace, scratch: Path) -> Table:
    """Match the options to the columns of the files, take the rows that are wanted and complete them."""
    names = {file: column_names(file.path) for file in files}
    there = list(dict.fromkeys(name for each in names.values() for name in each))
    columns = find_columns(there, options)
    wanted = dict(split_pair(text, "--where") for text in options.where)
    for file in files:
        check_file(file, names[file], columns, wanted)
    for note in overlooked(there, columns):
        print(note)
    table = Table(files, columns, wanted)
    if options.fasta:
        column = next(iter(columns.sequences.values()))
        table.steps.append(Join(options.fasta, column, scratch, skip=options.skip_missing))
    if options.skip_missing:
        table.steps.append(SkipMissing(columns))
    add_duplicates(table, options.duplicate_ids)
    return table


def declare(name: str, columns: Columns, options: argparse.Namespace) -> Declaration:
    """Return the declaration but for its scores."""
    return Declaration(
        name=name,
        targets=tuple(
            Target(each.name, options.unit or unit_of(each, columns.moments)) for each in columns.targets
        ),
        scores=(Score.of("pearson"),),
        title=options.title,
        source=options.source,
        licence=options.licence,
        sequences=read_construct(list(columns.sequences), options),
        inputs={name: (len(members),) for name, members in columns.inputs.items()},
        near_duplicates=not options.split_near_duplicates,
        row_weights=columns.weight is not None,
        tie_bayes_factor=options.tie_bayes_factor,
        ensembles=not options.no_ensembles,
    )


def add_scores(
    declaration: Declaration, options: argparse.Namespace, metrics: Sequence[str], subsets: Sequence[str]
) -> Declaration:
    """Declare a score for each metric, and the first of them by subset; the one to rank by comes first."""
    scores = [Score.of(metric, unit=options.unit) for metric in metrics]
    scores += [Score.of(metrics[0], f"{metrics[0]}_{s}", subset=s) for s in subsets]
    names = [score.name for score in scores]
    rank_by = options.rank_by or metrics[0]
    if rank_by not in names:
        raise one_of("score for --rank-by", rank_by, names)
    scores.sort(key=lambda score: score.name != rank_by)
    return replace(
        declaration,
        scores=tuple(scores),
        subsets=dict.fromkeys(subsets, "rows"),
        tie_break=options.tie_break,
    )


def write(writer: ChallengeWriter, table: Table) -> dict[str, int]:
    """Write the rows; return how many are for training and for testing."""
    counts = {"train": 0, "test": 0}
    answers, subsets = [], []
    for piece in table.pieces():
        train, test = piece.take(piece.usage == "train"), piece.take(piece.usage != "train")
        for part, some in (("train", train), ("test", test)):
            if len(some.rows):
                append(writer, part, some, table.columns)
                counts[part] += len(some.rows)
        if len(test.rows):
            answers.append(answers_of(test, table.columns))
            subsets.append(subset_rows(test, table.columns))
    if answers:
        writer.write_answers(pd.concat(answers))
        writer.write_subsets(pd.concat([pd.DataFrame(columns=["subset", "id", "reference"]), *subsets]))
    return counts


def require_parts(counts: dict[str, int], table: Table, options: argparse.Namespace) -> None:
    """Raise InputError where there are no training rows, or no test rows although some were asked for."""
    if not counts["train"]:
        raise InputError(f"{table.where}: no row is for training; check --where and the usage column")
    if options.test and not counts["test"]:
        raise InputError(f"--test {options.test}: no row of {table.where} has such a value; wanted test rows")


def append(writer: ChallengeWriter, part: str, piece: Piece, columns: Columns) -> None:
    """Append rows to a part; the answers of test rows are written elsewhere."""
    rows, path, moments = piece.rows, piece.path, columns.moments or {}
    tokens, lengths = encode_rows(piece, columns)
    inputs = {
        name: np.stack([read_input(rows, number, moments, path) for number in members], axis=1)
        for name, members in columns.inputs.items()
    }
    carried = {"id": piece.ids.to_list()}
    if part == "test":
        writer.test.append(tokens, lengths, inputs=inputs, rows=carried)
        return
    if columns.group is not None:
        carried["group"] = groups_of(piece, columns.group)
    if columns.fold is not None:
        fold = rows[columns.fold]
        refuse(fold == "", fold, path, "a fold for every training row")
        carried["fold"] = fold.to_list()
    for each in columns.targets:
        missing = is_missing(rows[each.column])
        refuse(missing, rows[each.column], path, "a finite number; to leave out such rows: --skip-missing")
    target = np.stack([read_numbers(rows, each, path, moments=moments) for each in columns.targets], axis=1)
    weight = read_weights(rows, columns.weight, path) if columns.weight else None
    writer.train.append(tokens, lengths, target=target, weight=weight, inputs=inputs, rows=carried)


def answers_of(piece: Piece, columns: Columns) -> pd.DataFrame:
    """Return the answers of test rows; a row without a group is one of its own."""
    values = {
        each.name: read_numbers(piece.rows, each, piece.path, missing=True, moments=columns.moments)
        for each in columns.targets
    }
    frame = pd.DataFrame({"id": piece.ids.to_list(), **values, "usage": piece.usage.to_list()})
    if columns.group is not None:
        frame["group"] = groups_of(piece, columns.group)
    return frame


def subset_rows(piece: Piece, columns: Columns) -> pd.DataFrame:
    """Return which of these test rows is in which subset."""
    names = piece.rows[columns.subset].to_list() if columns.subset else ""
    frame = pd.DataFrame({"subset": names, "id": piece.ids.to_list(), "reference": ""})
    return frame[frame.subset != ""]
