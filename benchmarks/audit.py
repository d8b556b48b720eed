"""The audit: homologous sequences among millions of promoters, against a dictionary of 30-mers in Python.

    python benchmarks/audit.py --rows 6700000
    python benchmarks/audit.py --recall

Builds a challenge of random 110-base promoters, one in a hundred for testing, of which some hundred have a
homolog among the others, and audits it as the command line does. The other side puts the 30-mers of both
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

from competition.auditing.checks import audit
from competition.base.errors import InputError, exit_status
from competition.data.challenge import open_challenge
from competition.data.cores import Sequences
from competition.data.declaration import Declaration, Score, Target
from competition.data.groups import homology_clusters
from competition.data.tokens import decode, encode, reverse_complement
from competition.data.writer import create_challenge

LEFT, RIGHT, INSERT = "TGCATTTTTTTCACATC", "GGTTACGGCTGTT", 80
BLOCK_ROWS, SHARED = 100_000, 30
HOMOLOGS, ROWS_BY_HAND = 100, 20_000


def simulate(count: int, rng: np.random.Generator) -> np.ndarray:
    tokens = np.empty((count, len(LEFT) + INSERT + len(RIGHT)), np.uint8)
    tokens[:, : len(LEFT)], tokens[:, -len(RIGHT) :] = encode([LEFT])[0], encode([RIGHT])[0]
    tokens[:, len(LEFT) : -len(RIGHT)] = rng.integers(0, 4, (count, INSERT), dtype=np.uint8)
    return tokens


def build(folder: Path, num_rows: int) -> None:
    rng, first = np.random.default_rng(0), None
    declared = Declaration("benchmark", (Target("y"),), (Score.of("pearson"),))
    with create_challenge(folder, declared) as writer:
        for start in range(0, num_rows, BLOCK_ROWS):
            tokens = simulate(min(BLOCK_ROWS, num_rows - start), rng)
            if first is not None:
                tokens[:HOMOLOGS, len(LEFT) : -len(RIGHT)] = first[:HOMOLOGS, len(LEFT) : -len(RIGHT)]
                tokens[np.arange(HOMOLOGS), 50] = rng.integers(0, 4, HOMOLOGS)
            first = tokens if first is None else first
            lengths = np.full(len(tokens), tokens.shape[1])
            writer.train.append(tokens, lengths, target=rng.normal(size=len(tokens)))
        tokens = np.concatenate([first[:HOMOLOGS], simulate(num_rows // 100, rng)])
        writer.test.append(tokens, np.full(len(tokens), tokens.shape[1]))
        ids = [str(number) for number in range(len(tokens))]
        writer.write_answers(pd.DataFrame({"id": ids, "y": 0.0, "usage": "private"}))


def by_hand(sequences: list[str]) -> dict[str, int]:
    """Count the rows that share a 30-mer of their insert with an earlier one; return the 30-mers seen."""
    pairing, known, found = str.maketrans("ACGT", "TGCA"), {}, 0
    for number, sequence in enumerate(sequences):
        insert = sequence[len(LEFT) : -len(RIGHT)]
        other = insert[::-1].translate(pairing)
        kmers = [each[i : i + SHARED] for each in (insert, other) for i in range(INSERT - SHARED + 1)]
        found += any(kmer in known for kmer in kmers)
        known.update(dict.fromkeys(kmers[: len(kmers) // 2], number))
    return known


OVERLAPS, SHARES, EVERY = (40, 60, 80), (0.0, 0.05, 0.1, 0.125, 0.15, 0.175, 0.2), (5, 6, 8, 10, 12, 15)
PAIRS = 600  # of a kind


def plant(overlap: int, places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return pairs (2, n, INSERT) that overlap by so many bases, substituted at places (n, s)."""
    one, other = rng.integers(0, 4, (2, len(places), INSERT), dtype=np.uint8)
    shared = one[:, INSERT - overlap :].copy()
    row = np.arange(len(places))[:, None]
    shared[row, places] = (shared[row, places] + rng.integers(1, 4, places.shape, dtype=np.uint8)) % 4
    other[:, :overlap] = shared
    other[::2] = reverse_complement(other[::2])
    return np.stack([one, other])


def recall(count: int) -> None:
    """Print the share of planted pairs that is found among count random sequences."""
    rng = np.random.default_rng(0)
    kinds: dict[tuple[str, int], np.ndarray] = {}
    for overlap in OVERLAPS:
        for share in SHARES:
            places = rng.permuted(np.tile(np.arange(overlap), (PAIRS, 1)), axis=1)
            name = f"{share:.1%} at random"
            kinds[name, overlap] = plant(overlap, places[:, : round(share * overlap)], rng)
        for every in EVERY:
            places = rng.integers(0, every, (PAIRS, 1)) + np.arange(0, overlap - every + 1, every)
            kinds[f"every {every} bases", overlap] = plant(overlap, places, rng)
    pairs = np.concatenate(list(kinds.values()), axis=1)
    others = rng.integers(0, 4, (count - 2 * pairs.shape[1], INSERT), dtype=np.uint8)
    tokens = np.concatenate([*pairs, others])
    started = time.process_time()
    number = homology_clusters([Sequences(tokens, np.full(count, INSERT))]).number
    found = (
        (number[: pairs.shape[1]] == number[pairs.shape[1] : -len(others)]).reshape(-1, PAIRS).mean(axis=1)
    )
    by_kind = dict(zip(kinds, found, strict=True))
    wrong = len(np.unique(number[-len(others) :]))
    seconds = time.process_time() - started
    print(f"{count:,} sequences, {seconds:.0f} s of one core; {len(others) - wrong} joined by chance")
    print("".join(f"{name:>20}" for name in ("substituted", *(f"overlap {each}" for each in OVERLAPS))))
    for name in dict.fromkeys(name for name, _ in kinds):
        print(f"{name:>20}" + "".join(f"{by_kind[name, overlap]:20.1%}" for overlap in OVERLAPS))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=6_700_000)
    parser.add_argument("--recall", action="store_true", help="measure what is found instead")
    options = parser.parse_args(arguments)
    if options.recall:
        return exit_status(measure_recall)
    return exit_status(measure, options.rows)


def measure_recall() -> None:
    for count in (200_000, 250_000):
        recall(count)


def measure(rows: int) -> None:
    if rows < HOMOLOGS:
        raise InputError(f"--rows {rows}; wanted at least {HOMOLOGS}")
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder) / "challenge", rows)
        opened = open_challenge(Path(folder) / "challenge", verify=False)
        started = time.process_time()
        findings = audit(opened, quiet=False)
        kit = rows / (time.process_time() - started)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        for finding in findings[:2]:
            print(f"{finding.status}  {finding.check}: {finding.text}")
        sequences = decode(np.asarray(opened.train.sequence.tokens[:ROWS_BY_HAND]))
    print(f"kit      {kit:10,.0f} rows/s, {rows / kit:.0f} s in all, peak {peak:.1f} GB")
    started, before = time.process_time(), memory()
    kmers = by_hand(sequences)
    hand = len(sequences) / (time.process_time() - started)
    grown = (memory() - before) / len(sequences) * rows
    print(f"by hand  {hand:10,.0f} rows/s, for the search alone; {len(kmers):,} 30-mers of so few rows")
    print(f"         would become {grown:.0f} GB for all rows; the kit is {kit / hand:.1f} times as fast")


def memory() -> float:
    """Return the memory of this process in GB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**30


if __name__ == "__main__":
    sys.exit(main())
