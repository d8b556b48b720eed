"""The audit: relatives among millions of promoters, against a dictionary of 30-mers in Python.

    python benchmarks/audit.py --rows 6700000

Builds a challenge of random 110-base promoters, one in a hundred for testing, of which some hundred have a
relative among the others, and audits it as the command line does. The other side puts the 30-mers of both
strands of 20,000 rows into a dictionary, as a script would.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from competition.audit import audit
from competition.data.challenge import Challenge, Score, Target, create_challenge, open_challenge
from competition.data.tokens import decode, encode
from competition.errors import InputError, exit_status

LEFT, RIGHT, INSERT = "TGCATTTTTTTCACATC", "GGTTACGGCTGTT", 80
BLOCK_ROWS, SHARED = 100_000, 30
RELATIVES, ROWS_BY_HAND = 100, 20_000


def simulate(count: int, rng: np.random.Generator) -> np.ndarray:
    tokens = np.empty((count, len(LEFT) + INSERT + len(RIGHT)), np.uint8)
    tokens[:, : len(LEFT)], tokens[:, -len(RIGHT) :] = encode([LEFT])[0], encode([RIGHT])[0]
    tokens[:, len(LEFT) : -len(RIGHT)] = rng.integers(0, 4, (count, INSERT), dtype=np.uint8)
    return tokens


def build(folder: Path, num_rows: int) -> None:
    rng, first = np.random.default_rng(0), None
    declared = Challenge("benchmark", (Target("y"),), (Score("pearson", "pearson", "maximize", -1, 1),))
    with create_challenge(folder, declared) as writer:
        for start in range(0, num_rows, BLOCK_ROWS):
            tokens = simulate(min(BLOCK_ROWS, num_rows - start), rng)
            if first is not None:
                tokens[:RELATIVES, len(LEFT) : -len(RIGHT)] = first[:RELATIVES, len(LEFT) : -len(RIGHT)]
                tokens[np.arange(RELATIVES), 50] = rng.integers(0, 4, RELATIVES)
            first = tokens if first is None else first
            lengths = np.full(len(tokens), tokens.shape[1])
            writer.train.append(tokens, lengths, target=rng.normal(size=len(tokens)))
        tokens = np.concatenate([first[:RELATIVES], simulate(num_rows // 100, rng)])
        writer.test.append(tokens, np.full(len(tokens), tokens.shape[1]))
        ids = [str(number) for number in range(len(tokens))]
        writer.write_answers(pd.DataFrame({"id": ids, "y": 0.0, "usage": "private"}))


def by_hand(sequences: list[str]) -> dict[str, int]:
    """Look for rows that share a 30-mer of their insert with an earlier one; return the words seen."""
    pairing, known, found = str.maketrans("ACGT", "TGCA"), {}, 0
    for number, sequence in enumerate(sequences):
        insert = sequence[len(LEFT) : -len(RIGHT)]
        other = insert[::-1].translate(pairing)
        words = [each[i : i + SHARED] for each in (insert, other) for i in range(INSERT - SHARED + 1)]
        found += any(word in known for word in words)
        known.update(dict.fromkeys(words[: len(words) // 2], number))
    return known


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=6_700_000)
    return exit_status(measure, parser.parse_args(arguments).rows)


def measure(rows: int) -> None:
    if rows < RELATIVES:
        raise InputError(f"--rows {rows}; wanted at least {RELATIVES}")
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder) / "challenge", rows)
        opened = open_challenge(Path(folder) / "challenge", verify=False)
        started = time.perf_counter()
        findings = audit(opened, quiet=False)
        kit = rows / (time.perf_counter() - started)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        for finding in findings[:2]:
            print(f"{finding.verdict}  {finding.check}: {finding.text}")
        sequences = decode(np.asarray(opened.train.tokens[:ROWS_BY_HAND]))
    print(f"kit      {kit:10,.0f} rows/s, {rows / kit:.0f} s in all, peak {peak:.1f} GB")
    started, before = time.perf_counter(), memory()
    words = by_hand(sequences)
    hand = len(sequences) / (time.perf_counter() - started)
    grown = (memory() - before) / len(sequences) * rows
    print(
        f"by hand  {hand:10,.0f} rows/s, the search for relatives alone; {len(words):,} words of so few rows"
    )
    print(f"         would become {grown:.0f} GB for all rows; the kit is {kit / hand:.1f} times as fast")


def memory() -> float:
    """Return the memory of this process in GB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**30


if __name__ == "__main__":
    sys.exit(main())
