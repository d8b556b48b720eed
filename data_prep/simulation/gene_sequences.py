"""Simulated sequences around transcription starts: isochores, CpG islands, promoter motifs, distal elements.

What raises or lowers expression is known for every gene, so a simulation built on them knows its ceiling. The
consensus sequences are those in general use (JASPAR; Vaquerizas et al., Nat. Rev. Genet. 2009), in IUPAC
letters; strengths, places and frequencies are the simulation's own.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from competition.data.tokens import BASES, COMPLEMENT
from data_prep.simulation.assay import generator

BLOCK_GENES = 64  # random draws are keyed by block, so a gene does not depend on how many there are
MEAN_GC, GC_SPREAD = 0.42, 0.05  # of the isochores
ISLAND_SHARE = 0.6  # of the genes start in a CpG island
ISLAND_GC, ISLAND_HALF = 0.25, (250, 700)  # what an island adds to the GC content; its reach on either side
ISLAND_EFFECT = 2.0
COPIES, ELEMENT_BASES = 5, 200  # of its motif in a distal element
REACH = 25_000.0  # bases over which the effect of a distal element falls to 1/e


class Motif(NamedTuple):
    """A binding site: start and stop say where it acts, in bases from the TSS; elsewhere it is a decoy."""

    name: str
    consensus: str
    effect: float
    start: int
    stop: int
    share: float  # chance that a gene has it where it acts, and again that it has a decoy


PROMOTER_MOTIFS = (
    Motif("TATA box", "TATAAAAG", 0.5, -36, -24, 0.2),
    Motif("SP1", "GGGGCGGGGC", 0.3, -140, -40, 0.3),
    Motif("NFY", "RRCCAATSRG", 0.4, -110, -50, 0.3),
    Motif("NRF1", "YGCGCATGCGCR", 0.5, -90, 20, 0.25),
    Motif("ETS", "ACCGGAAGTR", 0.4, -80, 30, 0.3),
    Motif("CREB", "TGACGTCA", 0.3, -150, -30, 0.2),
    Motif("YY1", "AARATGGCGGC", 0.3, 0, 30, 0.25),
    Motif("E2F", "TTTSSCGCC", -0.4, -60, 20, 0.2),
)
# A distal element holds several copies of one motif, at a distance of 2 kb up to the end of the sequence.
DISTAL_MOTIFS = (
    Motif("AP-1", "ATGACTCAT", 0.6, 0, 0, 1.0),
    Motif("HNF4", "TGACCTTTGRCCY", 0.6, 0, 0, 0.6),
    Motif("REST", "TTCAGCACCATGGACAGCGCC", -0.6, 0, 0, 0.4),
)
NEAREST = 2_000  # bases from the TSS to a distal element


class Planted(NamedTuple):
    """What was written into sequences, one entry a site; start counts from the TSS."""

    gene: np.ndarray
    name: np.ndarray
    start: np.ndarray
    acting: np.ndarray  # whether it changes expression


class Genes(NamedTuple):
    """A block of genes: their sequences and what the sequences do."""

    tokens: np.ndarray  # (N, left + right) uint8; the TSS is at column left
    gc: np.ndarray  # (N,) of the isochore
    activity: np.ndarray  # (N,) log10 of the transcription that the sequence gives
    planted: Planted


def draw_genes(count: int, *, left: int, right: int, seed: int, purpose: str) -> Iterator[Genes]:
    """Yield count genes block by block, each with left bases before its TSS and right bases from it on."""
    for number in range(-(-count // BLOCK_GENES)):
        genes = _block(left, right, generator(seed, purpose, number))
        keep = min(BLOCK_GENES, count - number * BLOCK_GENES)
        mine = genes.planted.gene < keep
        planted = Planted(*(column[mine] for column in genes.planted))
        yield Genes(genes.tokens[:keep], genes.gc[:keep], genes.activity[:keep], planted)


def _block(left: int, right: int, rng: np.random.Generator) -> Genes:
    gc = rng.normal(MEAN_GC, GC_SPREAD, BLOCK_GENES).clip(0.3, 0.6)
    island = np.where(rng.random(BLOCK_GENES) < ISLAND_SHARE, rng.uniform(0.3, 1, BLOCK_GENES), 0.0)
    content = np.repeat(gc[:, None], left + right, axis=1)
    reach = rng.integers(*ISLAND_HALF, (BLOCK_GENES, 2))
    for gene in np.flatnonzero(island):
        inside = slice(max(0, left - reach[gene, 0]), left + reach[gene, 1])
        content[gene, inside] += ISLAND_GC * island[gene]
    tokens = draw_bases(content, rng)
    activity = ISLAND_EFFECT * island
    near, planted = _plant_near(tokens, left, rng)
    far, elements = _plant_far(tokens, left, rng)
    both = Planted(*(np.concatenate(pair) for pair in zip(planted, elements, strict=True)))
    return Genes(tokens, gc, activity + near + far, both)


def draw_bases(content: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw tokens (N, L) whose chance of being G or C is content (N, L)."""
    strong = rng.integers(0, 256, content.shape, dtype=np.uint8) < (256 * content)
    second = rng.integers(0, 2, content.shape, dtype=np.uint8)
    return np.where(strong, 1 + second, 3 * second).astype(np.uint8)  # C, G; A, T


def _plant_near(tokens: np.ndarray, left: int, rng: np.random.Generator) -> tuple[np.ndarray, Planted]:
    """Write promoter motifs where they act, and as many decoys where they do not."""
    effect, sites = np.zeros(len(tokens)), []
    for motif in PROMOTER_MOTIFS:
        acting = np.flatnonzero(rng.random(len(tokens)) < motif.share)
        start = rng.integers(motif.start, motif.stop - len(motif.consensus) // 2 + 1, len(acting))
        _write(tokens, acting, left + start, motif, rng)
        effect[acting] += motif.effect
        decoys = np.flatnonzero(rng.random(len(tokens)) < motif.share)
        away = rng.integers(800, min(left, tokens.shape[1] - left) - len(motif.consensus), len(decoys))
        away = np.where(rng.random(len(decoys)) < 0.5, -away - len(motif.consensus), away)
        _write(tokens, decoys, left + away, motif, rng)
        sites += [(acting, motif.name, start, True), (decoys, motif.name, away, False)]
    return effect, _table(sites)


def _plant_far(tokens: np.ndarray, left: int, rng: np.random.Generator) -> tuple[np.ndarray, Planted]:
    """Write distal elements: several copies of a motif, whose effect falls with the distance."""
    effect, sites = np.zeros(len(tokens)), []
    right = tokens.shape[1] - left
    for motif in DISTAL_MOTIFS:
        genes = np.flatnonzero(rng.random(len(tokens)) < motif.share)
        upstream = (rng.random(len(genes)) < 0.7) | (right - ELEMENT_BASES <= NEAREST)
        farthest = np.where(upstream, left, right) - ELEMENT_BASES
        away = np.exp(rng.uniform(np.log(NEAREST), np.log(np.maximum(farthest, NEAREST + 1)))).astype(int)
        start = np.where(upstream, -away - ELEMENT_BASES, away)
        for copy in range(COPIES):
            offset = copy * (ELEMENT_BASES // COPIES)
            _write(tokens, genes, left + start + offset, motif, rng)
        np.add.at(effect, genes, motif.effect * np.exp(-away / REACH))
        sites.append((genes, motif.name, start, True))
    return effect, _table(sites)


def _table(sites: list[tuple[np.ndarray, str, np.ndarray, bool]]) -> Planted:
    return Planted(
        np.concatenate([genes for genes, *_ in sites]),
        np.concatenate([np.full(len(genes), name, dtype=object) for genes, name, *_ in sites]),
        np.concatenate([start for *_, start, _ in sites]),
        np.concatenate([np.full(len(genes), acting) for genes, *_, acting in sites]),
    )


def _write(
    tokens: np.ndarray, genes: np.ndarray, column: np.ndarray, motif: Motif, rng: np.random.Generator
) -> None:
    """Write an instance of a motif into each of some sequences, on a random strand."""
    choices = [["ACGT".index(base) for base in BASES[letter]] for letter in motif.consensus]
    letters = [np.array(each, dtype=np.uint8)[rng.integers(0, len(each), len(genes))] for each in choices]
    kmers = np.stack(letters, axis=1)  # (n, K)
    flip = rng.random(len(genes)) < 0.5
    kmers = np.where(flip[:, None], COMPLEMENT[kmers[:, ::-1]], kmers)
    tokens[genes[:, None], column[:, None] + np.arange(kmers.shape[1])] = kmers


def site_table(planted: Planted) -> dict[str, np.ndarray]:
    """Return the columns of a table of planted sites."""
    return {"gene": planted.gene, "motif": planted.name, "start": planted.start, "acting": planted.acting}
