"""Expression from histone marks and DNA in many cell types: train.npz, eval.npz and seq_data.csv.

The files of the class competition behind WakaWaka. The .npz are keyed by cell; an array (genes, 100, 7)
holds in each of 100 bins the gene id, the marks H3K27me3, H3K36me3, H3K4me1, H3K4me3 and H3K9me3, and the
expression, which may be absent from eval.npz. seq_data.csv has no header: gene id, then the 10,000 bases
around the start site.

    python -m data_prep histone_dna download/
    python -m data_prep histone_dna download/ --hold-out-genes 1447 --hold-out-cells 6

The inputs are histone (5, 100) and the sequence, of which one is stored for each gene; the target is
expression. The test rows are those of eval.npz, with --answers (CSV: id,expression) or without any. As their
answers were never released, --hold-out-genes and --hold-out-cells draw genes and cells of train.npz instead:
rows of either are test rows, as in the competition. A gene stays in one fold in all cells.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from competition.base.parser import whole_number
from competition.data.declaration import Declaration, InputSequence, Target
from competition.data.writer import ChallengeWriter, create_challenge
from data_prep.reading.cell_arrays import Cell, read_cells
from data_prep.reading.delimited import read_table, refuse, require_columns
from data_prep.reading.numbers import Number, read_numbers
from data_prep.reading.seq_data import LENGTH, Sequences
from data_prep.standards.roadmap_marks import MARKS, NUM_BINS
from data_prep.standards.subset_scores import scores_by_subset

ORIGIN = LENGTH // 2  # the start site is in the middle of a sequence
METRICS = dict.fromkeys(("mse", "pearson", "spearman", "r2"), "")  # without a unit
SUBSETS = ("unseen_genes", "unseen_cells", "both")

Name = TypeVar("Name", int, str)


class Names(NamedTuple):
    """Some genes and some cells."""

    genes: frozenset[int]
    cells: frozenset[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command-line options."""
    add = parser.add_argument
    add("folder", type=Path, help="holds train.npz, seq_data.csv and, for its test rows, eval.npz")
    add("--answers", type=Path, help="CSV of eval.npz's expression: id,expression")
    add("--hold-out-genes", type=int, default=0, metavar="N", help="test on N random genes of train.npz")
    add("--hold-out-cells", type=int, default=0, metavar="N", help="test on N random cells of train.npz")
    add("--seed", type=whole_number(0), default=0, help="seed of that draw (default: %(default)s)")
    add("--name", default="histone_dna", help="name of the challenge (default: %(default)s)")


def prepare(options: argparse.Namespace) -> None:
    """Build the challenge that the command line asks for, and print its size."""
    source, folder = options.folder, options.output or Path("data") / options.name
    check_options(options)
    with (
        create_challenge(folder, declare(options.name), overwrite=options.overwrite) as writer,
        tempfile.TemporaryDirectory() as scratch,
    ):
        sequences = Sequences(source / "seq_data.csv", Path(scratch) / "sequence.npy")
        held = choose(source / "train.npz", options)
        train, test = split(source, held)
        seen = write_train(writer, train, sequences)
        answers = write_test(writer, test, sequences, seen)
        if options.answers is not None:
            answers["expression"] = read_answers(options.answers, answers.id)
        writer.write_answers(answers[["id", "expression", "usage", "group"]])
        writer.write_subsets(make_subsets(answers))
        counts = writer.train.num_rows, writer.test.num_rows, answers.expression.notna().sum()
    print(f"{folder}: {counts[0]:,} training rows, {counts[1]:,} test rows, {counts[2]:,} answers known")


def check_options(options: argparse.Namespace) -> None:
    """Refuse options that contradict each other or the files."""
    asked = options.hold_out_genes, options.hold_out_cells
    if min(asked) < 0:
        raise InputError(f"--hold-out-genes and --hold-out-cells are {asked}; wanted 0 or more")
    if any(asked) and options.answers is not None:
        raise InputError("--answers are for eval.npz, which --hold-out-genes and --hold-out-cells leave out")
    if not any(asked) and not (options.folder / "eval.npz").exists():
        raise InputError(
            f"{options.folder} has no eval.npz; wanted it, or --hold-out-genes N or --hold-out-cells N"
        )


def declare(name: str) -> Declaration:
    """Return the declaration: the competition's mean squared error first."""
    return Declaration(
        name=name,
        title="Expression from histone marks and DNA in unseen genes and cells",
        source="Roadmap Epigenomics, as handed out in the class competition cs1850",
        targets=(Target("expression"),),
        scores=tuple(scores_by_subset(METRICS, SUBSETS)),
        sequences=(InputSequence(origin=ORIGIN),),
        inputs={"histone": (len(MARKS), NUM_BINS)},
        subsets=dict.fromkeys(SUBSETS, "rows"),
        # Repeats such as Alu are in most windows of this length and would join all rows in one cluster.
        near_duplicates=False,
    )


def choose(path: Path, options: argparse.Namespace) -> Names | None:
    """Draw the genes and cells of train.npz that are held out; None where nothing is."""
    if not options.hold_out_genes and not options.hold_out_cells:
        return None
    cells, genes = [], np.empty(0, dtype=np.int64)
    for cell in read_cells(path, labelled=True):
        cells.append(cell.name)
        genes = np.union1d(genes, cell.genes)
    generator = np.random.default_rng(options.seed)
    held_genes = _draw(genes.tolist(), options.hold_out_genes, generator, "genes", path)
    held_cells = _draw(sorted(cells), options.hold_out_cells, generator, "cells", path)
    return Names(frozenset(held_genes), frozenset(held_cells))


def _draw(
    names: Sequence[Name], count: int, generator: np.random.Generator, kind: str, path: Path
) -> list[Name]:
    if count >= len(names):
        raise InputError(
            f"--hold-out-{kind} {count}: {path} has {len(names)} {kind}; wanted fewer, to train on the others"
        )
    return [names[place] for place in generator.permutation(len(names))[:count]]


def split(folder: Path, held: Names | None) -> tuple[Iterator[Cell], Iterator[Cell]]:
    """Return the cells, with their genes, for training and for testing."""
    train = read_cells(folder / "train.npz", labelled=True)
    if held is None:
        return train, read_cells(folder / "eval.npz", labelled=False)
    again = read_cells(folder / "train.npz", labelled=True)
    return _filter(train, held, is_held=False), _filter(again, held, is_held=True)


def _filter(cells: Iterator[Cell], held: Names, *, is_held: bool) -> Iterator[Cell]:
    for cell in cells:
        rows = np.isin(cell.genes, list(held.genes)) | (cell.name in held.cells)
        if (rows == is_held).any():
            yield cell.take(rows == is_held)


def write_train(writer: ChallengeWriter, cells: Iterator[Cell], sequences: Sequences) -> Names:
    """Write the training rows; return their genes and cells."""
    stored: dict[int, int] = {}
    names = set()
    for cell in cells:
        index = sequences.index(cell.genes, writer.train, stored, f"cell {cell.name}")
        writer.train.append_rows(
            index,
            inputs={"histone": cell.histone},
            target=cell.expression,
            rows={"id": cell.ids, "group": cell.genes.tolist()},
        )
        names.add(cell.name)
    return Names(frozenset(stored), frozenset(names))


def write_test(
    writer: ChallengeWriter, cells: Iterator[Cell], sequences: Sequences, seen: Names
) -> pd.DataFrame:
    """Write the test rows; return their answers, and whether training rows have their gene and cell."""
    stored: dict[int, int] = {}
    answers = []
    for cell in cells:
        index = sequences.index(cell.genes, writer.test, stored, f"cell {cell.name}")
        writer.test.append_rows(index, inputs={"histone": cell.histone}, rows={"id": cell.ids})
        columns = {
            "id": cell.ids,
            "expression": np.nan if cell.expression is None else cell.expression,
            "usage": "private",
            "group": cell.genes,
            "gene_seen": np.isin(cell.genes, list(seen.genes)),
            "cell_seen": cell.name in seen.cells,
        }
        answers.append(pd.DataFrame(columns))
    return pd.concat(answers, ignore_index=True)


def make_subsets(answers: pd.DataFrame) -> pd.DataFrame:
    """Return which test rows are of unseen genes in seen cells, the reverse, or both unseen."""
    gene, cell = answers.gene_seen.to_numpy(), answers.cell_seen.to_numpy()
    members = dict(zip(SUBSETS, (~gene & cell, gene & ~cell, ~gene & ~cell), strict=True))
    parts = [
        pd.DataFrame({"subset": name, "id": answers.id[rows], "reference": ""})
        for name, rows in members.items()
    ]
    return pd.concat(parts)


def read_answers(path: Path, ids: pd.Series) -> np.ndarray:
    """Return the expression (N,) of these rows from a CSV of id,expression; NaN where it has none."""
    table = read_table(path)
    require_columns(("id", "expression"), table.columns, path)
    values = read_numbers(table, Number("expression"), path)
    refuse(~table.id.isin(ids), table.id, path, "an id of eval.npz, <cell>_<gene>")
    refuse(table.id.duplicated(), table.id, path, "each id once")
    return np.asarray(pd.Series(values, index=table.id).reindex(ids))
