"""Preparing a file of promoters: the kit against merely reading it, and against encoding it row by row.

    python benchmarks/prepare.py --rows 2000000

Writes a file of that many 110-bp promoters with their values, then times, one after another in processes of
their own: the kit (file to checked challenge folder); pyarrow reading the same file into its two columns and
nothing else; a Python loop over rows with a dictionary one-hot, on a sample; and, where TensorFlow can be
imported (--tensorflow names the Python of another environment), pad_sequences over lists of characters, a
StringLookup one-hot and tf.data's save, on a sample. The ratios are the result.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from competition.base.errors import InputError, exit_status

BLOCK_ROWS = 100_000
REPOSITORY = Path(__file__).parents[1]  # the environment that has TensorFlow may not have the kit
SAMPLE_ROWS = 20_000  # for the row-by-row side


def write_file(path: Path, rows: int) -> None:
    """Write rows of "sequence TAB value" with the digits that sort-seq means have."""
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        for start in range(0, rows, BLOCK_ROWS):
            count = min(BLOCK_ROWS, rows - start)
            letters = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, (count, 110), dtype=np.uint8)]
            values = rng.uniform(0, 17, count)
            for row, value in zip(letters, values, strict=True):
                file.write(row.tobytes() + b"\t%.13f\n" % value)


def kit(path: Path, folder: Path) -> None:
    from competition.data.writer import create_challenge
    from data_prep.vaishnav2022 import declare, write_train

    with create_challenge(folder / "challenge", declare("benchmark", [])) as writer:
        write_train(writer, path)


def pyarrow(path: Path, _: Path) -> None:
    from pyarrow import csv

    names = csv.ReadOptions(column_names=["sequence", "value"])
    for batch in csv.open_csv(path, read_options=names, parse_options=csv.ParseOptions(delimiter="\t")):
        assert batch.num_columns == 2


def by_row(path: Path, _: Path) -> None:
    code = {base: np.eye(4, dtype=np.float32)[i] for i, base in enumerate("ACGT")}
    with path.open() as file:
        for _, line in zip(range(SAMPLE_ROWS), file, strict=False):
            sequence, value = line.split("\t")
            assert np.stack([code[base] for base in sequence]).shape == (110, 4)
            float(value)


def keras(path: Path, folder: Path) -> None:
    import tensorflow as tf

    with path.open() as file:
        pairs = [line.split("\t") for _, line in zip(range(SAMPLE_ROWS), file, strict=False)]
    letters = [list(sequence) for sequence, _ in pairs]
    padded = tf.keras.preprocessing.sequence.pad_sequences(
        letters, maxlen=112, dtype=object, padding="post", value="N"
    )
    lookup = tf.keras.layers.StringLookup(vocabulary=list("ACGT"))  # 0 is any other letter
    planes = tf.one_hot(lookup(tf.constant(padded.tolist())), 5)
    values = np.array([float(value) for _, value in pairs], dtype=np.float32)
    tf.data.Dataset.from_tensor_slices((planes, values)).save(str(folder / "keras"))


SIDES = {"kit": kit, "pyarrow": pyarrow, "by_row": by_row, "keras": keras}
SAMPLED = ("by_row", "keras")


def measure(python: str, side: str, path: Path, folder: Path) -> tuple[float, float]:
    """Return seconds and peak resident megabytes of one side in a process of its own.

    Raises InputError with the last thing that it said where it fails.
    """
    command = [python, __file__, "--side", side, "--file", str(path), "--folder", str(folder)]
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    except OSError as error:
        raise InputError(f"{python} cannot be run: {error.strerror}") from None
    if done.returncode:
        raise InputError((done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"])[-1])
    seconds, memory = done.stdout.split()
    return float(seconds), float(memory)


def run_side(side: str, path: Path, folder: Path) -> None:
    started = time.perf_counter()
    SIDES[side](path, folder)
    seconds = time.perf_counter() - started
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def disk(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--tensorflow", default=sys.executable, help="Python that can import TensorFlow")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.side:
        run_side(options.side, options.file, options.folder)
        return 0
    return exit_status(compare, options)


def compare(options: argparse.Namespace) -> None:
    if options.rows < 1:
        raise InputError(f"--rows {options.rows}; wanted at least 1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "promoters.txt"
        write_file(path, options.rows)
        rates = {}
        for side in SIDES:
            try:
                python = options.tensorflow if side == "keras" else sys.executable
                seconds, memory = measure(python, side, path, folder)
            except InputError as error:
                if side == "kit":
                    raise
                print(f"{side:<8} left out: {error}")
                continue
            rows = min(options.rows, SAMPLE_ROWS) if side in SAMPLED else options.rows
            rates[side] = rows / seconds
            print(f"{side:<8} {rates[side]:>12,.0f} rows/s  peak {memory:6.0f} MB")
        print(f"the kit's challenge: {disk(folder / 'challenge') / options.rows:,.0f} bytes a row on disk")
        if "keras" in rates:
            sample = min(options.rows, SAMPLE_ROWS)
            print(f"the saved tf.data: {disk(folder / 'keras') / sample:,.0f} bytes a row on disk")
        for side in ("pyarrow", "by_row", "keras"):
            if side in rates:
                print(f"kit / {side}: {rates['kit'] / rates[side]:.2f}")


if __name__ == "__main__":
    sys.exit(main())
