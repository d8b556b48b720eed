"""Batch delivery on the CPU: the kit's batches against a DataLoader that encodes row by row.

    python benchmarks/batches.py --rows 200000

Both sides deliver shuffled float32 one-hot batches of 110-bp promoters with a shift of up to 3 bases and a
random strand. The DataLoader side is what most training scripts do: a Dataset whose __getitem__ looks every
letter up in a dictionary. Rates are measured side by side in one run; the ratio is the result.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from competition.base.errors import InputError, exit_status
from competition.data.challenge import open_challenge
from competition.data.declaration import Declaration, Score, Target
from competition.data.tokens import decode
from competition.data.writer import create_challenge
from competition.training.batches import Batches, cut
from competition.training.randomness import permutation
from competition.training.recipe import Recipe

CODE = {base: np.eye(4, dtype=np.float32)[i] for i, base in enumerate("ACGT")}
PAIR = {"A": "T", "C": "G", "G": "C", "T": "A"}


class Rows(Dataset):
    """Row by row: slice, flip and look up each letter."""

    def __init__(self, sequences: list[str], target: np.ndarray) -> None:
        self.sequences, self.target = sequences, target.copy()

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        sequence = "NNN" + self.sequences[row] + "NNN"
        offset = np.random.randint(-3, 4)  # noqa: NPY002 - as such scripts do
        sequence = sequence[3 + offset : 113 + offset]
        if np.random.rand() < 0.5:  # noqa: NPY002
            sequence = "".join(PAIR.get(base, "N") for base in reversed(sequence))
        zeros = np.zeros(4, dtype=np.float32)
        return np.stack([CODE.get(base, zeros) for base in sequence], axis=1), self.target[row]


def kit(batches: Batches, size: int) -> Iterator[int]:
    order = permutation(len(batches), seed=0, epoch=0)
    for part in cut(len(order), size):
        yield len(batches.training(order[part], seed=0, epoch=0)["target"])


def loader(rows: Rows, size: int, workers: int) -> Iterator[int]:
    for _, target in DataLoader(rows, batch_size=size, shuffle=True, num_workers=workers):
        yield len(target)


def rate(start: Callable[[], Iterator[int]], seconds: float) -> float:
    """Return rows/s over about this many seconds, the first batch left out."""
    batches = start()
    next(batches)
    begun, rows = time.perf_counter(), 0
    for count in batches:
        rows += count
        if time.perf_counter() - begun > seconds:
            break
    return rows / (time.perf_counter() - begun)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=5.0)
    return exit_status(measure, parser.parse_args(arguments))


def measure(options: argparse.Namespace) -> None:
    if not 0 < options.batch_size < options.rows:
        raise InputError(
            f"--rows {options.rows} --batch-size {options.batch_size}; wanted two batches or more"
        )
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 4, (options.rows, 110), dtype=np.uint8)
    score = Score.of("pearson")
    challenge = Declaration("benchmark", (Target("expression"),), (score,))
    with tempfile.TemporaryDirectory() as folder:
        with create_challenge(Path(folder) / "benchmark", challenge) as writer:
            writer.train.append(tokens, np.full(len(tokens), 110), target=rng.normal(size=len(tokens)))
        store = open_challenge(Path(folder) / "benchmark").train
        recipe = Recipe(window=(0, 110), shift=(-3, 3), reverse_complement=True)
        batches = Batches(store, challenge, recipe, ["sequence"], torch.device("cpu"))
        rows = Rows(decode(tokens), np.asarray(store.target))
        ours = rate(lambda: kit(batches, options.batch_size), options.seconds)
        print(f"kit                       {ours:>10,.0f} rows/s")
        for workers in (0, 2):
            theirs = rate(lambda w=workers: loader(rows, options.batch_size, w), options.seconds)
            print(
                f"DataLoader, {workers} workers     {theirs:>10,.0f} rows/s   "
                f"kit is {ours / theirs:.0f} x as fast"
            )


if __name__ == "__main__":
    sys.exit(main())
