"""Yeast promoters of Vaishnav et al. 2022 in complex or defined medium, or both pooled for pre-training.

The folder holds the files of Zenodo 4436477, plain or gzipped: complex_media_training_data_Glu.txt and
defined_media_training_data_SC_Ura.txt for training. Native_*.csv, Drift_*.csv and
Random_testdata_complex_media.txt are the test subsets; those that are missing are left out.

    python -m data_prep vaishnav2022 download/ --medium complex
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from competition.data.declaration import Declaration, Target
from competition.data.tokens import decode, encode
from competition.data.writer import ChallengeWriter, create_challenge
from data_prep.reading.delimited import read_table, require_columns
from data_prep.reading.files import exists
from data_prep.reading.numbers import Number, read_numbers
from data_prep.reading.two_columns import read_two_columns
from data_prep.standards.subset_scores import scores_by_subset
from data_prep.standards.yeast_construct import UNIT

MEDIA = ("complex", "defined")
TRAINING = {
    "complex": "complex_media_training_data_Glu.txt",
    "defined": "defined_media_training_data_SC_Ura.txt",
}
TESTS = {
    "native_complex": "Native_complex.csv",
    "drift_complex": "Drift_complex.csv",
    "random_complex": "Random_testdata_complex_media.txt",
    "native_defined": "Native_defined.csv",
    "drift_defined": "Drift_defined.csv",
}
MEASURED = "Measured Expression"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command-line options."""
    parser.add_argument("folder", type=Path, help="the download")
    parser.add_argument(
        "--medium", choices=[*MEDIA, "pooled"], default="complex", help="(default: %(default)s)"
    )
    parser.add_argument("--name", help="name of the challenge (default: vaishnav2022_<medium>)")


def prepare(options: argparse.Namespace) -> None:
    """Build the challenge that the command line asks for, and print its size."""
    media = MEDIA if options.medium == "pooled" else (options.medium,)
    tests = {
        name: options.folder / file
        for name, file in TESTS.items()
        if name.endswith(media) and exists(options.folder / file)
    }
    name = options.name or f"vaishnav2022_{options.medium}"
    folder = options.output or Path("data") / name
    with create_challenge(folder, declare(name, list(tests)), overwrite=options.overwrite) as writer:
        num_train = sum(write_train(writer, options.folder / TRAINING[medium]) for medium in media)
        counts = write_tests(writer, tests)
    found = ", ".join(f"{count:,} {subset}" for subset, count in counts.items()) or "none"
    print(f"{folder}: {num_train:,} training rows, test rows: {found}")


def declare(name: str, subsets: list[str]) -> Declaration:
    """Return the declaration: the scores of the papers, over all test rows and by subset."""
    return Declaration(
        name=name,
        title="Yeast promoters of Vaishnav et al. 2022",
        source="Vaishnav et al., Nature 2022; Zenodo 4436477",
        licence="CC BY 4.0",
        targets=(Target("expression", UNIT),),
        scores=tuple(scores_by_subset({"pearson": "", "spearman": "", "r2": "", "mse": "bins"}, subsets)),
        subsets=dict.fromkeys(subsets, "rows"),
    )


def write_train(writer: ChallengeWriter, path: Path) -> int:
    """Stream the training rows of one medium; return how many there are."""
    count = 0
    for block in read_two_columns(path):
        writer.train.append(block.tokens, block.lengths, target=block.value)
        count += len(block.value)
    return count


def write_tests(writer: ChallengeWriter, tests: dict[str, Path]) -> dict[str, int]:
    """Write the test rows of every file and their answers, all private; return how many each brings."""
    counts, answers, subsets = {}, [], []
    for subset, path in tests.items():
        tokens, lengths, values = read_test(path)
        ids = [f"{subset}_{row}" for row in range(len(values))]
        writer.test.append(tokens, lengths, rows={"id": ids})
        answers.append(pd.DataFrame({"id": ids, "expression": values, "usage": "private"}))
        subsets.append(pd.DataFrame({"subset": subset, "id": ids, "reference": ""}))
        counts[subset] = len(ids)
    if answers:
        writer.write_answers(pd.concat(answers))
        writer.write_subsets(pd.concat(subsets))
    return counts


def read_test(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return tokens, lengths and measured values of a test file: a CSV with a header, or two columns."""
    if path.suffix == ".txt":
        blocks = list(read_two_columns(path))
        sequences = [sequence for block in blocks for sequence in decode(block.tokens)]
        return *encode(sequences), np.concatenate([block.value for block in blocks])
    table = read_table(path)
    require_columns(("sequence", MEASURED), table.columns, path)
    values = read_numbers(table, Number(MEASURED), path)
    tokens, lengths = encode(table["sequence"].to_list(), name=str(path), lines=table.index)
    return tokens, lengths, values
