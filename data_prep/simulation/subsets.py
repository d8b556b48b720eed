"""The test rows of the simulated assay, in the subsets of DREAM 2022."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from competition.data.hashing import mix, scale
from data_prep.simulation.assay import (
    START,
    STOP,
    Sites,
    construct,
    draw_instances,
    generator,
    make_promoters,
    write,
)
from data_prep.simulation.thermodynamics import expression
from data_prep.simulation.yeast_factors import FACTORS
from data_prep.standards.yeast_construct import INSERT_BASES

PUBLIC_SHARE = 0.13  # of the clusters, as in DREAM 2022
NUM_RANDOM, NUM_NATIVE_LIKE = 300, 100
NUM_HIGH, NUM_LOW, NUM_CHALLENGING = 70, 70, 100
NUM_CANDIDATES = 2_000  # from which the high, low and challenging rows are chosen
NUM_SNV_REFERENCES, SNVS_EACH = 80, 3
NUM_PERTURBED = 110
NUM_BACKGROUNDS, TILES_EACH = 10, 10
AT_SHARE = 0.62  # of the bases of a native-like insert; yeast's genome has as much
TRACT = (6, 15)  # length in bp of the poly-A or poly-T tract in a native-like insert


class Heldout(NamedTuple):
    """Test constructs, their planted sites, the subsets and which rows are public."""

    tokens: np.ndarray  # (N, 110)
    sites: Sites
    subsets: pd.DataFrame  # subset, id, reference
    usage: np.ndarray  # (N,) "public" or "private"; a cluster is one or the other


class _Collection:
    """Constructs, sites, subsets and clusters, as they are added."""

    def __init__(self) -> None:
        self.count = 0
        self.tokens: list[np.ndarray] = []
        self.sites: list[Sites] = []
        self.subsets: list[pd.DataFrame] = []
        self.cluster: list[np.ndarray] = []

    def add(
        self, tokens: np.ndarray, sites: Sites | None = None, cluster: np.ndarray | None = None
    ) -> np.ndarray:
        """Add constructs (n, 110) and return their ids; those without a cluster are one each."""
        ids = np.arange(self.count, self.count + len(tokens))
        self.tokens.append(tokens)
        self.cluster.append(ids if cluster is None else cluster)
        if sites is not None:
            self.sites.append(sites._replace(row=sites.row + self.count))
        self.count += len(tokens)
        return ids

    def mark(self, subset: str, ids: np.ndarray, references: np.ndarray | None = None) -> None:
        reference = [""] * len(ids) if references is None else references.astype(str)
        self.subsets.append(pd.DataFrame({"subset": subset, "id": ids.astype(str), "reference": reference}))


def make_test(seed: int) -> Heldout:
    """Return the test set of a seed."""
    rows = _Collection()
    rng = generator(seed, "test", 0)
    tokens, sites = make_promoters(NUM_RANDOM, rng)
    random_ids = rows.add(tokens, sites)
    rows.mark("random", random_ids)
    tokens, sites = make_promoters(NUM_NATIVE_LIKE, rng, background=native_background(NUM_NATIVE_LIKE, rng))
    rows.mark("native_like", rows.add(tokens, sites))
    _add_extremes(rows, rng)
    _add_snvs(rows, tokens_of(rows, random_ids[:NUM_SNV_REFERENCES]), random_ids[:NUM_SNV_REFERENCES], rng)
    _add_perturbed(rows, random_ids, rng)
    _add_tiles(rows, rng)
    cluster = np.concatenate(rows.cluster)
    chance = scale(mix(cluster.astype(np.uint64) + mix(np.array([seed], dtype=np.uint64))), 10_000) / 10_000
    usage = np.where(chance < PUBLIC_SHARE, "public", "private")
    sites = Sites(*(np.concatenate(columns) for columns in zip(*rows.sites, strict=True)))
    return Heldout(np.concatenate(rows.tokens), sites, pd.concat(rows.subsets), usage)


def tokens_of(rows: _Collection, ids: np.ndarray) -> np.ndarray:
    """Return constructs that were added already."""
    return np.asarray(np.concatenate(rows.tokens)[ids])


def native_background(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return AT-rich inserts (count, 80) with a poly-A or poly-T tract, as in native yeast promoters."""
    share = [AT_SHARE / 2, (1 - AT_SHARE) / 2, (1 - AT_SHARE) / 2, AT_SHARE / 2]
    inserts = rng.choice(4, (count, INSERT_BASES), p=share).astype(np.uint8)
    length, base = rng.integers(*TRACT, count, endpoint=True), rng.choice([0, 3], count).astype(np.uint8)
    start = rng.integers(0, INSERT_BASES - length)[:, None]
    column = np.arange(INSERT_BASES)
    inside = (column >= start) & (column < start + length[:, None])
    return np.asarray(np.where(inside, base[:, None], inserts))


def _add_extremes(rows: _Collection, rng: np.random.Generator) -> None:
    """Add the highest and the lowest of many candidates, and those a position-blind model gets most wrong.

    That model knows every site but not where it lies.
    """
    tokens, sites = make_promoters(NUM_CANDIDATES, rng)
    truth = expression(tokens, START, STOP)
    surprise = np.abs(truth - expression(tokens, START, STOP, everywhere_alike=True))
    order = truth.argsort(kind="stable")
    low, high = order[:NUM_LOW], order[-NUM_HIGH:]
    rest = np.setdiff1d(order, np.concatenate([low, high]))
    challenging = rest[surprise[rest].argsort(kind="stable")[-NUM_CHALLENGING:]]
    for name, chosen in (("high", high), ("low", low), ("challenging", challenging)):
        rows.mark(name, rows.add(tokens[chosen], choose(sites, chosen)))


def choose(sites: Sites, rows: np.ndarray) -> Sites:
    """Return the sites in these rows, numbered as in rows."""
    place = {row: number for number, row in enumerate(rows.tolist())}
    mine = np.flatnonzero(np.isin(sites.row, rows))
    chosen = Sites(*(column[mine] for column in sites))
    return chosen._replace(row=np.array([place[row] for row in chosen.row.tolist()], dtype=np.int64))


def _add_snvs(
    rows: _Collection, tokens: np.ndarray, references: np.ndarray, rng: np.random.Generator
) -> None:
    """Add constructs that differ from their reference in one base, half of them within a planted site."""
    changed = tokens.repeat(SNVS_EACH, 0)
    parent = references.repeat(SNVS_EACH)
    position = rng.integers(START, STOP, len(changed))
    for number in range(0, len(changed), 2):
        position[number] = _within_a_site(rows.sites[0], parent[number], rng, position[number])
    column = np.arange(len(changed))
    shift = rng.integers(1, 4, len(changed)).astype(np.uint8)
    changed[column, position] = (changed[column, position] + shift) % 4
    changed, first = np.unique(np.column_stack([parent, changed]), axis=0, return_index=True)
    parent = parent[first]
    rows.mark("SNVs", rows.add(changed[:, 1:].astype(np.uint8), cluster=parent), parent)


def _within_a_site(sites: Sites, row: int, rng: np.random.Generator, otherwise: int) -> int:
    mine = np.flatnonzero(sites.row == row)
    if not len(mine):
        return otherwise
    site = rng.choice(mine)
    return int(sites.start[site] + rng.integers(0, len(FACTORS[sites.factor[site]].consensus)))


def _add_perturbed(rows: _Collection, random_ids: np.ndarray, rng: np.random.Generator) -> None:
    """Add constructs in which one planted site of their reference is replaced by random bases."""
    sites = rows.sites[0]
    mine = np.flatnonzero(sites.row >= NUM_SNV_REFERENCES)
    chosen = np.sort(rng.choice(mine, NUM_PERTURBED, replace=False))
    parent = random_ids[sites.row[chosen]]
    tokens = tokens_of(rows, parent)
    for number, site in enumerate(chosen):
        length = len(FACTORS[sites.factor[site]].consensus)
        start = sites.start[site]
        tokens[number, start : start + length] = rng.integers(0, 4, length)
    rows.mark("motif_perturbation", rows.add(tokens, cluster=parent), parent)


def _add_tiles(rows: _Collection, rng: np.random.Generator) -> None:
    """Add backgrounds without sites, and the same with one site at one place after another."""
    backgrounds = construct(rng.integers(0, 4, (NUM_BACKGROUNDS, INSERT_BASES), dtype=np.uint8))
    ids = rows.add(backgrounds)
    for number in range(NUM_BACKGROUNDS):
        factor = number % len(FACTORS)
        length = len(FACTORS[factor].consensus)
        start = np.linspace(START, STOP - length, TILES_EACH).round().astype(np.int64)
        strand = np.full(TILES_EACH, number // len(FACTORS) % 2)
        sites = Sites(np.arange(TILES_EACH), np.full(TILES_EACH, factor), start, strand)
        tokens = backgrounds[[number]].repeat(TILES_EACH, 0)
        write(tokens, sites, draw_instances(factor, 1, rng).repeat(TILES_EACH, 0))
        parent = ids[[number]].repeat(TILES_EACH)
        rows.mark("motif_tiling", rows.add(tokens, sites, cluster=parent), parent)
