"""Histone marks around genes, high or low expression: DeepChrome's CSV files, one cell type or all 56.

Given the folder of Zenodo 2652278 (<cell>/classification/{train,valid,test}.csv), one cell's folder, or
single files, plain or gzipped. A file has no header and the columns gene id, bin (1..100), the counts of
H3K27me3, H3K36me3, H3K4me1, H3K4me3 and H3K9me3, and the label (1: above the cell's median expression); with
a header the columns go by their names, and a column "split" says which rows are train, valid or test.

    python -m data_prep deepchrome data/ --cell E003 --cell E116

The input is histone (5, 100), the target is label. Rows of train and valid are for training, those of test
are the private test rows; a gene stays in one fold in all cells.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from competition.base.errors import one_of
from competition.data.declaration import Declaration, Score, Target
from competition.data.store_writer import StoreWriter
from competition.data.tokens import encode
from competition.data.writer import ChallengeWriter, create_challenge
from data_prep.reading.deepchrome_files import SPLITS, Genes, Part, find_parts, read_genes
from data_prep.standards.roadmap_marks import MARKS, NUM_BINS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command-line options."""
    add = parser.add_argument
    add("paths", type=Path, nargs="+", help="the folder of all cells, one cell's folder, or files")
    add("--cell", action="append", metavar="NAME", help="cell to include; repeatable (default: all)")
    add("--name", default="deepchrome", help="name of the challenge (default: %(default)s)")


def prepare(options: argparse.Namespace) -> None:
    """Build the challenge that the command line asks for, and print its size."""
    folder = options.output or Path("data") / options.name
    parts = choose_cells([part for path in options.paths for part in find_parts(path)], options.cell)
    counts = dict.fromkeys(SPLITS, 0)
    answers = []
    with create_challenge(folder, declare(options.name, parts), overwrite=options.overwrite) as writer:
        for part in parts:
            for genes in read_genes(part):
                answers.append(write(writer, genes, part.cell))
                for split in SPLITS:
                    counts[split] += int((genes.split == split).sum())
        if counts["test"]:
            writer.write_answers(pd.concat(answers)[["id", "label", "usage", "group"]])
            writer.write_subsets(subsets(pd.concat(answers), writer.declaration))
    cells = len({part.cell for part in parts})
    train = counts["train"] + counts["valid"]
    print(f"{folder}: {cells} cells, {train:,} training rows, {counts['test']:,} test rows")


def declare(name: str, parts: list[Part]) -> Declaration:
    """Return the declaration; with several cells that have a test file, a score is the mean over them."""
    tested = sorted({part.cell for part in parts if part.split == "test"})
    cells = tested if len(tested) > 1 and {part.cell for part in parts} == set(tested) else []
    weights = dict.fromkeys(cells, 1.0)
    return Declaration(
        name=name,
        title="High or low expression from histone marks",
        source="Singh et al., Bioinformatics 2016 (DeepChrome); Roadmap Epigenomics; Zenodo 2652278",
        targets=(Target("label", "1: above the cell's median, 0: not"),),
        scores=(
            Score.of("auroc", weights=weights),
            Score.of("pearson", weights=weights),
            Score.of("mse", weights=weights),
        ),
        inputs={"histone": (len(MARKS), NUM_BINS)},
        subsets=dict.fromkeys(cells, "rows"),
        near_duplicates=False,  # all rows share one sequence, see add_sequence
    )


def choose_cells(parts: list[Part], cells: list[str] | None) -> list[Part]:
    """Return the parts of the chosen cells."""
    known = sorted({part.cell for part in parts})
    for cell in cells or []:
        if cell not in known:
            raise one_of("cell", cell, known)
    return [part for part in parts if not cells or part.cell in cells]


def write(writer: ChallengeWriter, genes: Genes, cell: str) -> pd.DataFrame:
    """Write some genes of a cell; return the answers of those that are test rows, with their cell."""
    ids = np.array([f"{cell}_{gene}" for gene in genes.ids], dtype=object)
    groups = np.array(genes.ids, dtype=object)
    test = genes.split == "test"
    for is_test in (False, True):
        rows = test == is_test
        if rows.any():
            store = writer.test if is_test else writer.train
            add_sequence(store)
            store.append_rows(
                np.zeros(rows.sum(), dtype=np.int32),
                inputs={"histone": genes.histone[rows]},
                target=None if is_test else genes.label[rows],
                rows={"id": ids[rows], "group": groups[rows]},
            )
    columns = {"id": ids[test], "label": genes.label[test], "usage": "private", "group": groups[test]}
    return pd.DataFrame({**columns, "cell": cell})


def add_sequence(store: StoreWriter) -> None:
    """Give a store its one sequence: these files have none, so all rows share a single N."""
    if store.num_rows == 0:
        store.append_sequences(*encode(["N"]))


def subsets(answers: pd.DataFrame, declaration: Declaration) -> pd.DataFrame:
    """Return which test row is in which cell's subset."""
    rows = answers[answers.cell.isin(list(declaration.subsets))]
    return pd.DataFrame({"subset": rows.cell, "id": rows.id, "reference": ""})
