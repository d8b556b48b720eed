"""The simulated assay: promoters with planted sites, and the reads that measure them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from competition.data.hashing import hash_text
from competition.data.tokens import BASES, COMPLEMENT, encode
from competition.metrics.registry import METRICS
from data_prep.simulation.thermodynamics import DECIMALS, TOP_BIN
from data_prep.simulation.yeast_factors import FACTORS
from data_prep.standards.yeast_construct import INSERT_BASES, LEFT_ADAPTER, RIGHT_ADAPTER

START, STOP = len(LEFT_ADAPTER), len(LEFT_ADAPTER) + INSERT_BASES  # of the insert
SLOTS = 4  # a site lies within one of these equal parts of the insert, so that planted sites never overlap

NUM_SITES = (0.0, 0.05, 0.2, 0.35, 0.4)  # chance of 0, 1, ... planted sites
MUTATED = 0.05  # of the planted sites have one random base
CELL_NOISE = 1.8  # bins; spread of single cells around their promoter's mean
SINGLE_READ = 0.4  # of the training rows; the others have 2 + a geometric number of reads
MORE_READS = 0.15  # chance that a row with several reads has no further one


class Sites(NamedTuple):
    """Planted sites, one entry a site; start counts from the first base of the construct."""

    row: np.ndarray
    factor: np.ndarray
    start: np.ndarray
    strand: np.ndarray  # 1: on the minus strand


def generator(seed: int, purpose: str, block: int) -> np.random.Generator:
    """Return the random numbers of one block of one purpose."""
    return np.random.default_rng([seed, int(hash_text([purpose])[0]), block])


def make_promoters(
    count: int, rng: np.random.Generator, *, background: np.ndarray | None = None
) -> tuple[np.ndarray, Sites]:
    """Return constructs (count, 110) with planted sites in random bases, or in a background (count, 80)."""
    if background is None:
        background = rng.integers(0, 4, (count, INSERT_BASES), dtype=np.uint8)
    tokens = construct(background)
    return tokens, plant(tokens, rng)


def construct(inserts: np.ndarray) -> np.ndarray:
    """Put inserts (N, 80) between the adapters."""
    left, right = encode([LEFT_ADAPTER])[0], encode([RIGHT_ADAPTER])[0]
    count = len(inserts)
    return np.concatenate([left.repeat(count, 0), inserts, right.repeat(count, 0)], axis=1)


def plant(tokens: np.ndarray, rng: np.random.Generator) -> Sites:
    """Write sites into constructs, in place, and return where they are."""
    count = len(tokens)
    wanted: np.ndarray = rng.choice(len(NUM_SITES), count, p=NUM_SITES)
    row, slot = np.nonzero(rng.random((count, SLOTS)).argsort(1) < wanted[:, None])
    shares = np.array([factor.share for factor in FACTORS], dtype=float)
    factor = rng.choice(len(FACTORS), len(row), p=shares / shares.sum())
    lengths = np.array([len(factor.consensus) for factor in FACTORS])
    room = INSERT_BASES // SLOTS - lengths[factor]
    start = START + slot * (INSERT_BASES // SLOTS) + rng.integers(0, room + 1)
    sites = Sites(row, factor, start, rng.integers(0, 2, len(row)))
    for number in range(len(FACTORS)):
        mine = np.flatnonzero(factor == number)
        instances = draw_instances(number, len(mine), rng)
        mutate(instances, rng)
        write(tokens, Sites(*(column[mine] for column in sites)), instances)
    return sites


def draw_instances(factor: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw instances (count, K) of a factor's consensus."""
    columns = [["ACGT".index(base) for base in BASES[letter]] for letter in FACTORS[factor].consensus]
    draws = [np.array(column, dtype=np.uint8)[rng.integers(0, len(column), count)] for column in columns]
    return np.stack(draws, axis=1)


def mutate(kmers: np.ndarray, rng: np.random.Generator) -> None:
    """Change one base in some of the k-mers (N, K), in place."""
    count, length = kmers.shape
    position, shift = rng.integers((0, 1), (length, 4), (count, 2)).T
    chosen = np.flatnonzero(rng.random(count) < MUTATED)
    kmers[chosen, position[chosen]] = (kmers[chosen, position[chosen]] + shift[chosen]) % 4


def write(tokens: np.ndarray, sites: Sites, kmers: np.ndarray) -> None:
    """Write k-mers (M, K) into constructs at their sites, reverse-complemented where the strand is 1."""
    flipped = COMPLEMENT[kmers[:, ::-1]]
    column = sites.start[:, None] + np.arange(kmers.shape[1])
    tokens[sites.row[:, None], column] = np.where(sites.strand[:, None] == 1, flipped, kmers)


def draw_reads(count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw how many reads each training row has."""
    several = 1 + rng.geometric(MORE_READS, count)
    return np.where(rng.random(count) < SINGLE_READ, 1, several)


def measure(truth: np.ndarray, reads: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the mean bin (N,) of each promoter's reads: single cells scatter, bins are whole and 0..17."""
    most = int(reads.max())
    cells = truth[:, None] + CELL_NOISE * rng.standard_normal((len(truth), most))
    bins = cells.round().clip(0, TOP_BIN)
    return np.asarray(np.where(np.arange(most) < reads[:, None], bins, 0).sum(1) / reads)


def ceiling(truth: np.ndarray, answers: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Score the noiseless truth (N,) against the measured answers (N,), by each of these metrics."""
    found = {name: METRICS[name].function(answers[:, None], truth[:, None]) for name in names}
    return rounded(found)


def rounded(scores: dict[str, float]) -> dict[str, float]:
    """Round scores like everything that a simulation writes."""
    return {name: round(float(value), DECIMALS) for name, value in scores.items()}
