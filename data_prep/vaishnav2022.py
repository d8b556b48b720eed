"""Yeast promoters of Vaishnav et al. 2022 in complex or defined medium, or both pooled for pre-training.

The folder holds the files of Zenodo 4436477, plain or gzipped: complex_media_training_data_Glu.txt and
defined_media_training_data_SC_Ura.txt for training; Native_*.csv, Drift_*.csv and
Random_testdata_complex_media.txt, as far as they are there, are the test subsets.

    python -m data_prep vaishnav2022 download/ --medium complex
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from competition.data.declaration import Declaration, Score, Target
from competition.data.tokens import decode, encode
from competition.data.writer import ChallengeWriter, create_challenge
from data_prep.dream2022 import read_any
from data_prep.reading.files import open_bytes

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
    """Build the challenge and say what it holds."""
    media = MEDIA if options.medium == "pooled" else (options.medium,)
    tests = {
        name: options.folder / file
        for name, file in TESTS.items()
        if name.endswith(media) and any((options.folder / f"{file}{end}").exists() for end in ("", ".gz"))
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
    scores = []
    for subset in ("all", *subsets):
        end = "" if subset == "all" else f"_{subset}"
        scores += [
            Score.of("pearson", f"pearson{end}", subset=subset),
            Score.of("spearman", f"spearman{end}", subset=subset),
            Score.of("r2", f"r2{end}", subset=subset),
            Score.of("mse", f"mse{end}", unit="bins", subset=subset),
        ]
    return Declaration(
        name=name,
        title="Yeast promoters of Vaishnav et al. 2022",
        source="Vaishnav et al., Nature 2022; Zenodo 4436477",
        licence="CC BY 4.0",
        targets=(Target("expression", "mean sorting bin, 0..17"),),
        scores=tuple(scores),
        subsets=dict.fromkeys(subsets, "rows"),
    )


def write_train(writer: ChallengeWriter, path: Path) -> int:
    """Stream the training rows of one medium; return how many there are."""
    count = 0
    for block in read_any(path):
        writer.train.append(block.tokens, block.lengths, target=block.value)
        count += len(block.value)
    return count


def write_tests(writer: ChallengeWriter, tests: dict[str, Path]) -> dict[str, int]:
    """Write the test rows of every file and their answers, all private; return how many each brings."""
    counts, answers, subsets = {}, [], []
    for subset, path in tests.items():
        sequences, values = read_test(path)
        tokens, lengths = encode(sequences, name=str(path))
        ids = [f"{subset}_{row}" for row in range(len(sequences))]
        writer.test.append(tokens, lengths, rows={"id": ids})
        answers.append(pd.DataFrame({"id": ids, "expression": values, "usage": "private"}))
        subsets.append(pd.DataFrame({"subset": subset, "id": ids, "reference": ""}))
        counts[subset] = len(ids)
    if answers:
        writer.write_answers(pd.concat(answers))
        writer.write_subsets(pd.concat(subsets))
    return counts


def read_test(path: Path) -> tuple[list[str], np.ndarray]:
    """Return sequences and measured values of a test file: a CSV with a header, or two columns."""
    if path.suffix == ".txt":
        blocks = list(read_any(path))
        return [s for block in blocks for s in decode(block.tokens)], np.concatenate(
            [b.value for b in blocks]
        )
    with open_bytes(path) as file:
        table = pd.read_csv(file)
    for column in ("sequence", MEASURED):
        if column not in table:
            raise InputError(f"{path} has no column {column!r}; it has {', '.join(map(str, table.columns))}")
    values = pd.to_numeric(table[MEASURED], errors="coerce").to_numpy(dtype=np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(bad.argmax())
        raise InputError(f"{path}: line {row + 2} has {MEASURED} {table[MEASURED][row]!r}; wanted a number")
    return table["sequence"].to_list(), values
