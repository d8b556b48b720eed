"""Preparing a file of promoters: the kit against merely reading it, and against encoding it row by row.

    python benchmarks/prepare.py --rows 2000000

Writes a file of that many 110-bp promoters with their values, then times, one after another in processes of
their own: the kit (file to checked challenge folder); pyarrow reading the same file into its two columns and
nothing else; and a Python loop over rows with a dictionary one-hot, on a sample. The ratios are the result.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

BLOCK_ROWS = 100_000
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
    from competition.data.challenge import create_challenge
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


SIDES = {"kit": kit, "pyarrow": pyarrow, "by_row": by_row}


def measure(side: str, path: Path, folder: Path) -> tuple[float, float]:
    """Return seconds and peak resident megabytes of one side in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--file", str(path), "--folder", str(folder)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(out[0]), float(out[1])


def run_side(side: str, path: Path, folder: Path) -> None:
    started = time.perf_counter()
    SIDES[side](path, folder)
    seconds = time.perf_counter() - started
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        run_side(arguments.side, arguments.file, arguments.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "promoters.txt"
        write_file(path, arguments.rows)
        rates = {}
        for side in SIDES:
            try:
                seconds, memory = measure(side, path, folder)
            except subprocess.CalledProcessError as error:
                print(f"{side:<8} left out: {error.stderr.strip().splitlines()[-1]}")
                continue
            rows = min(arguments.rows, SAMPLE_ROWS) if side == "by_row" else arguments.rows
            rates[side] = rows / seconds
            print(f"{side:<8} {rates[side]:>12,.0f} rows/s  peak {memory:6.0f} MB")
        size = sum(file.stat().st_size for file in (folder / "challenge").rglob("*") if file.is_file())
        print(f"on disk {size / arguments.rows:.1f} bytes a row")
        for side in ("pyarrow", "by_row"):
            if side in rates:
                print(f"kit / {side}: {rates['kit'] / rates[side]:.2f}")


if __name__ == "__main__":
    main()
