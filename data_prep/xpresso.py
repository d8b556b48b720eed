"""Human or mouse mRNA levels from promoter and half-life features: Xpresso's .h5 files or its source table.

Given the folder of train.h5, valid.h5 and test.h5 (data (n, 8), promoter (n, 20000, 4), label and geneName):
train and valid are for training, test holds the private test rows, all values unchanged. Reading them needs
h5py. Or given their source table, plain or gzipped:

    python -m data_prep xpresso pM10Kb_1KTest/
    python -m data_prep xpresso Roadmap_FantomAnnotations.InputData.pM10Kb.txt.gz --test-genes 1000 --seed 1

From the table, expression, the four lengths and the exon density become log10(x + 0.1), and then all nine
columns z-scores. Two things differ from Xpresso: means and standard deviations are those of the training rows
(Xpresso's are of all rows), and the test genes are drawn by --seed (they are not those of test.h5). The means
and deviations are written into the challenge's public/README.md. Histone genes, which Xpresso drops, are
kept, as the table does not mark them.

The inputs are half_life (8,) and the sequence, 20,000 bases with the start site at the origin 10,000: Xpresso
reads the window (-7000, 3500). A gene is a group; paralogs may be in training and test rows.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from competition.base.parser import whole_number
from competition.data.declaration import Declaration, InputSequence, Score, Target
from competition.data.store_writer import StoreWriter
from competition.data.writer import ChallengeWriter, create_challenge
from data_prep.reading.xpresso_h5 import Rows, import_h5py, read_h5
from data_prep.reading.xpresso_table import LOGGED, NUMBERS, OFFSET, read_genes, read_promoters
from data_prep.standards.mrna_features import FEATURES, LENGTH

ORIGIN = LENGTH // 2
UNIT = "z-score of log10(expression + 0.1)"


class Scale(NamedTuple):
    """Mean and standard deviation (9,) of the columns NUMBERS."""

    mean: np.ndarray
    deviation: np.ndarray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command-line options."""
    add = parser.add_argument
    add("path", type=Path, help="folder of train.h5, valid.h5 and test.h5, or the source table")
    add("--test-genes", type=int, default=1_000, help="genes of the table to test on (default: %(default)s)")
    add("--seed", type=whole_number(0), default=1, help="seed of that draw (default: %(default)s)")
    add("--name", default="xpresso", help="name of the challenge (default: %(default)s)")


def prepare(options: argparse.Namespace) -> None:
    """Build the challenge that the command line asks for, and print its size."""
    folder = options.output or Path("data") / options.name
    if not options.path.exists():
        raise InputError(f"{options.path} does not exist; wanted a folder of .h5 files, or the source table")
    with create_challenge(folder, declare(options.name), overwrite=options.overwrite) as writer:
        if options.path.is_dir():
            write_h5(writer, options.path)
        else:
            write_table(writer, options.path, num_test=options.test_genes, seed=options.seed)
        counts = writer.train.num_rows, writer.test.num_rows
    print(f"{folder}: {counts[0]:,} training rows, {counts[1]:,} test rows")


def declare(name: str) -> Declaration:
    """Return the declaration: Xpresso reports the squared Pearson correlation."""
    return Declaration(
        name=name,
        title="mRNA levels from promoter and half-life features",
        source="Agarwal and Shendure, Cell Reports 2020 (Xpresso)",
        targets=(Target("expression", UNIT),),
        scores=(
            Score.of("pearson_r2"),
            Score.of("pearson"),
            Score.of("spearman"),
            Score.of("mse", unit="standard deviations"),
            Score.of("r2"),
        ),
        sequences=(InputSequence(origin=ORIGIN),),
        inputs={"half_life": (len(FEATURES),)},
        # Repeats such as Alu are in most windows of this length and would join all rows in one cluster.
        near_duplicates=False,
    )


def append(store: StoreWriter, rows: Rows, *, labelled: bool) -> None:
    """Append some genes to a part of the challenge; labels are for training rows only."""
    if rows.genes:
        store.append(
            rows.tokens,
            np.full(len(rows.genes), LENGTH),
            target=rows.label if labelled else None,
            inputs={"half_life": rows.half_life},
            rows={"id": rows.genes, "group": rows.genes},
        )


def answers_of(genes: list[str], label: np.ndarray) -> pd.DataFrame:
    """Return the answers of test rows."""
    return pd.DataFrame({"id": genes, "expression": label, "usage": "private"})


# The .h5 files


def write_h5(writer: ChallengeWriter, folder: Path) -> None:
    """Write the rows of the three files."""
    h5py = import_h5py()
    known: set[str] = set()
    for name in ("train", "valid"):
        for rows in read_h5(h5py, folder / f"{name}.h5"):
            append(writer.train, rows, labelled=True)
            known.update(rows.genes)
    answers = []
    for rows in read_h5(h5py, folder / "test.h5"):
        both = known.intersection(rows.genes)
        if both:
            raise InputError(
                f"{folder / 'test.h5'} has gene {min(both)}, as training rows have; wanted others"
            )
        append(writer.test, rows, labelled=False)
        answers.append(answers_of(rows.genes, rows.label))
    writer.write_answers(pd.concat(answers))


# The source table


def write_table(writer: ChallengeWriter, path: Path, *, num_test: int, seed: int) -> None:
    """Write the rows of the table in two passes: one finds its numbers' scale, one cuts its promoters."""
    genes, numbers = read_genes(path)
    if not 0 < num_test < len(genes) - 1:
        raise InputError(
            f"--test-genes {num_test}: {path} has {len(genes):,} genes; wanted 1 to {len(genes) - 2:,}"
        )
    test = np.zeros(len(genes), dtype=bool)
    test[np.random.default_rng(seed).permutation(len(genes))[:num_test]] = True
    scale = find_scale(numbers[~test], path)
    numbers = (numbers - scale.mean) / scale.deviation
    start = 0
    for tokens in read_promoters(path):
        block = slice(start, start + len(tokens))
        rows = Rows(genes[block], tokens, numbers[block, 1:], numbers[block, 0])
        append(writer.train, rows.take(~test[block]), labelled=True)
        append(writer.test, rows.take(test[block]), labelled=False)
        start += len(tokens)
    test_genes = [gene for gene, is_test in zip(genes, test, strict=True) if is_test]
    writer.write_answers(answers_of(test_genes, numbers[test, 0]))
    text = describe(scale, num_train=int((~test).sum()), seed=seed)
    (writer.folder / "public" / "README.md").write_text(text, encoding="utf-8")


def find_scale(numbers: np.ndarray, path: Path) -> Scale:
    """Return mean and standard deviation of training rows (N, 9)."""
    scale = Scale(numbers.mean(axis=0), numbers.std(axis=0))
    same = np.ptp(numbers, axis=0) == 0
    if same.any():
        raise InputError(
            f"{path}: {NUMBERS[same.argmax()]} is the same in every training row; wanted variation"
        )
    return scale


def describe(scale: Scale, *, num_train: int, seed: int) -> str:
    """Return a README that says how the numbers were scaled, so that others can be scaled alike."""
    lines = [
        f"The z-scores are (x - mean) / deviation over the {num_train:,} training rows; the test genes were",
        f"drawn with seed {seed}. x is log10(value + {OFFSET}) where a logarithm is marked, else the value.",
        "",
        "| column | logarithm | mean | standard deviation |",
        "|---|---|---|---|",
    ]
    for name, mean, deviation in zip(NUMBERS, *scale, strict=True):
        lines.append(
            f"| {name} | {'yes' if name in LOGGED else ''} | {float(mean)!r} | {float(deviation)!r} |"
        )
    return "\n".join(lines) + "\n"
