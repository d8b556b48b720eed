"""Simulated genes in several cell types, from histone marks and DNA, with a known ceiling; needs no file.

A gene's sequence (10 kb around its transcription start) sets its activity in all cells; each cell type adds
its own part. The marks, as read counts in 100 bins, show the activity of a gene in a cell, with counting
noise. mRNA stability is encoded in the sequence downstream of the start alone. So either input by itself
predicts less than both. Rows are genes times cells; the test set holds unseen genes, unseen cells and both.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from competition.data.declaration import Declaration, InputSequence, Score, Target
from competition.data.writer import create_challenge
from data_prep.simulation.assay import ceiling, generator
from data_prep.simulation.gene_sequences import BLOCK_GENES, draw_bases, draw_genes
from data_prep.simulation.options import add_size_and_seed
from data_prep.simulation.thermodynamics import DECIMALS
from data_prep.standards.roadmap_marks import MARKS, NUM_BINS

HALF = 5_000  # bases before the TSS, and from it on
NUM_CELLS, NUM_NEW_CELLS = 4, 2  # in training; in the test set alone
NUM_TRAIN, NUM_NEW_GENES = 800, 100
MEAN_ACTIVITY = 2.3  # at which the marks are half-maximal
CELL_SPREAD = 0.45  # of a cell type's own part of a gene's activity
STABILITY = 0.6  # effect of the stability's z-score
STABLE_REGION = (750, 2_000)  # bases from the TSS whose GC content encodes the stability; nothing acts there
STABLE_GC = 0.06  # what one standard deviation of stability adds to it
DEPTH = 4.0  # reads in a bin of a strong peak
OVERDISPERSION = 0.5  # variance of the factor by which counts of a mark of one row differ from Poisson's
NOISE = 0.2  # of the measured log expression
CEILINGS = ("mse", "pearson", "spearman", "r2")  # scores whose best value is declared


class Genes(NamedTuple):
    """Genes: sequences, and the activity and mRNA stability that these encode."""

    tokens: np.ndarray  # (N, 10,000) uint8
    activity: np.ndarray  # (N,)
    stability: np.ndarray  # (N,) z-scores


class Rows(NamedTuple):
    """Rows of one part: every gene in every cell, gene by gene."""

    gene: np.ndarray  # (N,) index of the gene
    cell: np.ndarray  # (N,) number of the cell
    histone: np.ndarray  # (N, 5, 100) read counts
    truth: np.ndarray  # (N,)
    label: np.ndarray  # (N,)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command-line options."""
    add_size_and_seed(parser, "--genes", default=NUM_TRAIN, what="genes")


def prepare(options: argparse.Namespace) -> None:
    """Build the challenge that the command line asks for."""
    folder = options.output or Path("data/histone")
    build(folder, seed=options.seed, num_genes=options.genes, overwrite=options.overwrite)


def build(folder: Path, *, seed: int = 0, num_genes: int = NUM_TRAIN, overwrite: bool = False) -> None:
    """Write the challenge folder: the same bytes for the same seed and number of genes."""
    seen, new = make_genes(num_genes, seed, "train"), make_genes(NUM_NEW_GENES, seed, "test")
    every_cell = np.arange(NUM_CELLS + NUM_NEW_CELLS)
    new_cells = every_cell[NUM_CELLS:]
    train = make_rows(seen, every_cell[:NUM_CELLS], seed, "train")
    few = Genes(*(column[:NUM_NEW_GENES] for column in seen))
    test = [make_rows(few, new_cells, seed, "new cells"), make_rows(new, every_cell, seed, "new genes")]
    names = [row_names(test[0], "train"), row_names(test[1], "test")]
    truth, answers = (np.concatenate([getattr(rows, name) for rows in test]) for name in ("truth", "label"))
    ids = [name for part in names for name in part]
    with create_challenge(folder, declare(ceiling(truth, answers, CEILINGS)), overwrite=overwrite) as writer:
        length = np.full(max(num_genes, NUM_NEW_GENES), 2 * HALF)
        writer.train.append_sequences(seen.tokens, length[:num_genes])
        writer.train.append_rows(
            train.gene, inputs={"histone": train.histone}, target=train.label,
            rows={"id": row_names(train, "train"), "group": [f"train{gene}" for gene in train.gene]},
        )  # fmt: skip
        for genes, rows, own, first in zip((few, new), test, names, (0, len(few.tokens)), strict=True):
            writer.test.append_sequences(genes.tokens, length[: len(genes.tokens)])
            writer.test.append_rows(first + rows.gene, inputs={"histone": rows.histone}, rows={"id": own})
        usage = np.where(np.arange(len(ids)) % 4 == 0, "public", "private")
        gene = [name.partition("_")[2] for name in ids]  # whose rows in several cells depend on each other
        columns = {"id": ids, "expression": answers, "usage": usage, "group": gene}
        writer.write_answers(pd.DataFrame(columns))
        writer.write_subsets(subset_table(test, names))
        writer.write_table("truth", pd.DataFrame({"id": ids, "expression": truth}))


def make_genes(count: int, seed: int, part: str) -> Genes:
    """Draw genes; the stability is written into the GC content downstream of the start."""
    blocks = []
    drawn = draw_genes(count, left=HALF, right=HALF, seed=seed, purpose=f"{part} histone genes")
    for number, each in enumerate(drawn):
        rng = generator(seed, f"{part} stability", number)
        stability, keep = rng.standard_normal(BLOCK_GENES), len(each.tokens)
        start, stop = (HALF + position for position in STABLE_REGION)
        content = np.repeat((0.45 + STABLE_GC * stability)[:, None], stop - start, axis=1)
        each.tokens[:, start:stop] = draw_bases(content, rng)[:keep]
        blocks.append(Genes(each.tokens, each.activity, stability[:keep]))
    return Genes(*(np.concatenate(columns) for columns in zip(*blocks, strict=True)))


def make_rows(genes: Genes, cells: np.ndarray, seed: int, part: str) -> Rows:
    """Measure genes in cells: marks from activity, expression from activity and stability."""
    count = len(genes.activity)
    gene, cell = (x.ravel() for x in np.meshgrid(np.arange(count), cells, indexing="ij"))
    rng = generator(seed, f"{part} rows", 0)
    activity = genes.activity[gene] + CELL_SPREAD * rng.standard_normal(len(gene))
    histone = draw_marks(activity, rng)
    truth = (activity + STABILITY * genes.stability[gene]).round(DECIMALS)
    label = (truth + NOISE * rng.standard_normal(len(gene))).round(DECIMALS)
    return Rows(gene, cell, histone, truth, label)


def draw_marks(activity: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw read counts (N, 5, 100) of the marks around the start, given the activity (N,)."""
    level = 1 / (1 + np.exp(-1.5 * (activity - MEAN_ACTIVITY)))  # (N,) 0..1
    shape = profiles()
    share = np.stack([1 - level, level, 0.3 + 0.5 * level, level, 0.4 + 0 * level], axis=1)  # (N, 5)
    factor = rng.gamma(1 / OVERDISPERSION, OVERDISPERSION, share.shape)
    rate = 0.3 + DEPTH * (share * factor)[:, :, None] * shape
    counts: np.ndarray = rng.poisson(rate.round(DECIMALS)).astype(np.float32)
    return counts


def profiles() -> np.ndarray:
    """Return where each mark lies (5, 100), 0..1: the start is between bins 49 and 50."""
    x = np.arange(NUM_BINS) - 49.5
    promoter = np.exp(-((x / 6) ** 2))
    flanks = np.exp(-(((np.abs(x) - 14) / 6) ** 2))
    body = 1 / (1 + np.exp(-(x - 12) / 4))
    broad = np.exp(-((x / 40) ** 2))
    return np.stack([broad, body, flanks, promoter, np.full(NUM_BINS, 0.5)])


def row_names(rows: Rows, part: str) -> list[str]:
    """Return ids: the cell, then the gene."""
    return [f"cell{cell}_{part}{gene}" for cell, gene in zip(rows.cell, rows.gene, strict=True)]


def subset_table(test: list[Rows], names: list[list[str]]) -> pd.DataFrame:
    """Return which test rows are of unseen cells, of unseen genes, or of both."""
    both = test[1].cell >= NUM_CELLS
    members = {
        "unseen_cells": names[0],
        "unseen_genes": [name for name, new in zip(names[1], both, strict=True) if not new],
        "unseen_both": [name for name, new in zip(names[1], both, strict=True) if new],
    }
    parts = [pd.DataFrame({"subset": k, "id": v, "reference": ""}) for k, v in members.items()]
    return pd.concat(parts)


def declare(ceiling: dict[str, float]) -> Declaration:
    """Return the declaration: the squared error first, as in the class competition."""
    scores = [
        Score.of("mse", unit="log units"),
        Score.of("pearson"),
        Score.of("spearman"),
        Score.of("r2"),
    ]
    subsets = ("unseen_cells", "unseen_genes", "unseen_both")
    scores += [Score.of("mse", f"mse_{name}", subset=name, unit="log units") for name in subsets]
    return Declaration(
        name="histone",
        title="Simulated histone marks and DNA in several cell types",
        source="simulated by data_prep.histone; layout after the class data of 50 Roadmap cell types",
        licence="CC0-1.0",
        sequences=(InputSequence(origin=HALF),),
        targets=(Target("expression", "log expression"),),
        inputs={"histone": (len(MARKS), NUM_BINS)},
        scores=tuple(scores),
        subsets=dict.fromkeys(subsets, "rows"),
        near_duplicates=False,  # one gene's rows share its group; random bases share nothing else
        ceiling=ceiling,
    )
