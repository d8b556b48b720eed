"""Simulated genes with long promoters and half-life features, with a known ceiling; needs no file.

95 kb around each transcription start (TSS): a CpG island and motifs close to the TSS set the level, distal
elements change it from afar, decoys of the same motifs do nothing. Eight features of the mRNA, those of
Xpresso, determine its half-life. Folds are whole chromosomes, and so is the test set.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from competition.data.declaration import Declaration, InputSequence, Score, Target
from competition.data.writer import create_challenge
from data_prep.simulation.assay import ceiling, generator
from data_prep.simulation.gene_sequences import (
    BLOCK_GENES,
    GC_SPREAD,
    MEAN_GC,
    Planted,
    draw_genes,
    site_table,
)
from data_prep.simulation.options import add_size_and_seed
from data_prep.simulation.thermodynamics import DECIMALS
from data_prep.standards.mrna_features import FEATURES

LEFT, RIGHT = 70_000, 25_000  # bases before and after the TSS
HALF_LIFE = np.array([-0.05, -0.15, 0.1, -0.25, -0.05, 0.1, -0.05, 0.3])  # effect of each feature's z-score
NOISE = 0.35  # of the measured log10 expression
TEST_CHROMOSOMES = ("chr3", "chr8", "chr16")
TRAIN_CHROMOSOMES = tuple(f"chr{i}" for i in range(1, 23) if f"chr{i}" not in TEST_CHROMOSOMES)
NUM_TRAIN, NUM_TEST = 1_200, 300
CEILINGS = ("pearson", "spearman", "mse", "pearson_r2", "r2")  # scores whose best value is declared


class Block(NamedTuple):
    """Some genes: sequences, features, truth and labels."""

    tokens: np.ndarray  # (N, 95,000) uint8
    half_life: np.ndarray  # (N, 8) z-scores
    truth: np.ndarray  # (N,) log10 expression without noise
    label: np.ndarray  # (N,)
    chromosome: list[str]
    planted: Planted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command-line options."""
    add_size_and_seed(parser, "--rows", default=NUM_TRAIN, what="genes")


def prepare(options: argparse.Namespace) -> None:
    """Build the challenge that the command line asks for."""
    folder = options.output or Path("data/genes")
    build(folder, seed=options.seed, num_train=options.rows, overwrite=options.overwrite)


def build(folder: Path, *, seed: int = 0, num_train: int = NUM_TRAIN, overwrite: bool = False) -> None:
    """Write the challenge folder: the same bytes for the same seed and number of genes."""
    test = list(draw_blocks(NUM_TEST, seed=seed, part="test", chromosomes=TEST_CHROMOSOMES))
    truth, answers = (np.concatenate([getattr(b, name) for b in test]) for name in ("truth", "label"))
    with create_challenge(folder, declare(ceiling(truth, answers, CEILINGS)), overwrite=overwrite) as writer:
        tables = []
        train = draw_blocks(num_train, seed=seed, part="train", chromosomes=TRAIN_CHROMOSOMES)
        for part, store, blocks in (("train", writer.train, train), ("test", writer.test, test)):
            first = 0
            for block in blocks:
                ids = [f"{part}{first + number}" for number in range(len(block.tokens))]
                store.append(
                    block.tokens,
                    np.full(len(block.tokens), LEFT + RIGHT),
                    inputs={"half_life": block.half_life},
                    target=block.label if part == "train" else None,
                    rows={"id": ids, "group": block.chromosome},
                )
                tables.append(pd.DataFrame(site_table(block.planted)).assign(part=part))
                tables[-1]["gene"] += first
                first += len(block.tokens)
        ids = [f"test{number}" for number in range(len(truth))]
        usage = np.where(np.arange(len(truth)) % 4 == 0, "public", "private")
        writer.write_answers(pd.DataFrame({"id": ids, "expression": answers, "usage": usage}))
        writer.write_table("truth", pd.DataFrame({"id": ids, "expression": truth}))
        writer.write_table("planted", pd.concat(tables))


def draw_blocks(count: int, *, seed: int, part: str, chromosomes: tuple[str, ...]) -> Iterator[Block]:
    """Yield genes of one part with their features, labels and chromosomes."""
    genes = draw_genes(count, left=LEFT, right=RIGHT, seed=seed, purpose=f"{part} genes")
    for number, each in enumerate(genes):
        rng = generator(seed, f"{part} messengers", number)  # a key of the draws: a new one changes them
        keep = len(each.tokens)
        half_life = rng.standard_normal((BLOCK_GENES, len(FEATURES)))[:keep]
        isochore = (each.gc - MEAN_GC) / GC_SPREAD
        half_life[:, 4:7] = 0.8 * half_life[:, 4:7] + 0.6 * isochore[:, None]  # GC of the exons follows it
        half_life = half_life.round(DECIMALS)
        truth = (each.activity + half_life @ HALF_LIFE).round(DECIMALS)
        label = (truth + NOISE * rng.standard_normal(BLOCK_GENES)[:keep]).round(DECIMALS)
        names = [chromosomes[i] for i in rng.integers(0, len(chromosomes), BLOCK_GENES)[:keep]]
        yield Block(each.tokens, half_life, truth, label, names, each.planted)


def declare(ceiling: dict[str, float]) -> Declaration:
    """Return the declaration: plain correlations and errors."""
    return Declaration(
        name="genes",
        title="Simulated genes with long promoters",
        source="simulated by data_prep.genes; features after Agarwal and Shendure, Cell Reports 2020",
        licence="CC0-1.0",
        sequences=(InputSequence(origin=LEFT),),
        targets=(Target("expression", "log10 expression"),),
        inputs={"half_life": (len(FEATURES),)},
        scores=(
            Score.of("pearson"),
            Score.of("spearman"),
            Score.of("mse", unit="log10 units"),
            Score.of("pearson_r2"),
            Score.of("r2"),
        ),
        near_duplicates=False,  # random bases: no two genes share a long k-mer
        ceiling=ceiling,
    )
