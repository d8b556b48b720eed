"""The command-line options of a table, by what they are about."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data_prep.reading.columns import SPECIAL
from data_prep.reading.construct import add_construct

Add = Callable[..., Any]


def add_rows(add: Add) -> None:
    """Declare which rows are read, and which column says what of a row."""
    add("file", nargs="*", default=[], type=Path,
        help="tables: CSV, TSV, parquet, first sheet of .xlsx, .h5ad, HDF5; - is standard input")  # fmt: skip
    add("--train", action="append", default=[], type=Path, metavar="FILE",
        help="table of training rows; repeatable")  # fmt: skip
    add("--name", help="name of the challenge (default: of the file)")
    add("--where", action="append", default=[], metavar="COLUMN=VALUE",
        help="use only these rows, or with COLUMN!=VALUE all others; repeatable")  # fmt: skip
    for name in SPECIAL:
        add(f"--{name}", metavar="COLUMN", help=f"column of {name}s (default: {name}, where there is one)")
    add("--subset", metavar="COLUMN", help="column that names a subset of test rows to be scored by itself")
    add("--skip-missing", action="store_true",
        help="leave out rows without a target or a sequence, and say how many")  # fmt: skip
    add("--duplicate-ids", choices=("mean", "rename", "refuse"), default="refuse",
        help="average the numbers of rows with the same id, before any logarithm; rename the later ones; "
        "or refuse them (default: %(default)s)")  # fmt: skip


def add_targets(add: Add) -> None:
    """Declare what is predicted, and how much a row counts."""
    add("--target", action="append", metavar="COLUMN",
        help="column to predict, or 'log10(COLUMN+0.1)', 'log2(COLUMN)', 'log1p(COLUMN)', or 'zscore(...)' "
        "of any of these by the training rows; repeatable (default: expression)")  # fmt: skip
    add("--unit", default="", help="unit of the targets")
    add("--weight", metavar="COLUMN",
        help="column of the weights that training rows have in the loss, on any scale")  # fmt: skip


def add_inputs(add: Add) -> None:
    """Declare what is predicted from: sequences with their construct, and numbers."""
    add("--sequence", default="sequence", metavar="COLUMN|NAME=COLUMN,...",
        help="column of sequences, or those of several sequences a row (default: %(default)s)")  # fmt: skip
    add("--fasta", type=Path, metavar="FILE", help="sequences, joined to the rows by their ids")
    add_construct(add)
    add("--input", action="append", default=[], metavar="NAME=COLUMN,...",
        help="numeric columns, or logarithms of such, as an input of the model; repeatable")  # fmt: skip
    add("--standardise", action="store_true",
        help="inputs become z-scores by the training rows; an empty cell becomes 0, their mean")  # fmt: skip


def add_split(add: Add) -> None:
    """Declare which rows are tested, and which may be in different folds."""
    add("--test", action="append", default=[], metavar="FILE|COLUMN=VALUE,...",
        help="rows of this table, or with these values, are test rows with private answers")  # fmt: skip
    add("--test-fraction", type=float, metavar="F",
        help="test on about this share of the rows: whole homology clusters and groups")  # fmt: skip
    add("--public-fraction", type=float, metavar="F",
        help="share of the test rows whose answers are public (default: none)")  # fmt: skip
    add("--drop-test-homologs", action="store_true",
        help="drop training rows in the homology cluster of a test row")  # fmt: skip
    add("--split-near-duplicates", action="store_true",
        help="near-duplicate sequences may be in different folds")  # fmt: skip


def add_rules(add: Add) -> None:
    """Declare how submissions are ranked, and where the data are from."""
    add("--rank-by", metavar="SCORE",
        help="what the board ranks by (default: pearson; auroc where every target is 0 or 1)")  # fmt: skip
    add("--tie-break", default="", metavar="SCORE", help="what orders submissions that are a tie")
    add("--tie-bayes-factor", type=float, metavar="K",
        help="a tie is a Bayes factor under K (default: a 95 %% interval that includes 0)")  # fmt: skip
    add("--no-ensembles", action="store_true", help="the rules forbid ensembles")
    for name in ("title", "source", "licence"):
        add(f"--{name}", default="", help=f"{name} of the data")


GROUPS: dict[str, Callable[[Add], None]] = {
    "rows": add_rows,
    "targets": add_targets,
    "inputs": add_inputs,
    "split": add_split,
    "rules": add_rules,
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare all options, group by group."""
    for name, add in GROUPS.items():
        add(parser.add_argument_group(name).add_argument)
