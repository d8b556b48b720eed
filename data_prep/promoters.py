"""A simulated reporter assay of yeast promoters with a known ceiling; needs no file.

80-bp inserts in the yeast construct are random bases with a few planted binding sites of real transcription
factors. A thermodynamic model gives their expression (0..17), and a simulated sorting experiment measures it.
Training rows have few reads each, many a single one and so a whole number; test rows have many. The test
subsets follow DREAM 2022.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from competition.data.declaration import Declaration, InputSequence, Score, Target
from competition.data.writer import create_challenge
from competition.metrics.pearson import pearson
from competition.metrics.spearman import spearman
from data_prep.simulation.assay import (
    START,
    STOP,
    Sites,
    draw_reads,
    generator,
    make_promoters,
    measure,
    rounded,
)
from data_prep.simulation.options import add_size_and_seed
from data_prep.simulation.subsets import Heldout, make_test
from data_prep.simulation.thermodynamics import expression
from data_prep.simulation.yeast_factors import FACTORS
from data_prep.standards import dream_subsets
from data_prep.standards.yeast_construct import BACKBONE_LEFT, BACKBONE_RIGHT, UNIT

NUM_TRAIN = 1_792
TEST_READS = 400
BLOCK_ROWS = 4_096  # random draws are keyed by block, so a row does not depend on how many there are

SUBSETS = dream_subsets.subsets(native="native_like")
WEIGHTS = dream_subsets.weights(SUBSETS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command-line options."""
    add_size_and_seed(parser, "--rows", default=NUM_TRAIN, what="promoters")


def prepare(options: argparse.Namespace) -> None:
    """Build the challenge that the command line asks for."""
    folder = options.output or Path("data/promoters")
    build(folder, seed=options.seed, num_train=options.rows, overwrite=options.overwrite)


def build(folder: Path, *, seed: int = 0, num_train: int = NUM_TRAIN, overwrite: bool = False) -> None:
    """Write the challenge folder: the same bytes for the same seed and number of rows."""
    test = make_test(seed)
    truth = expression(test.tokens, START, STOP)
    answers = measure(truth, np.full(len(truth), TEST_READS), generator(seed, "test reads", 0))
    ceiling = answer_ceiling(test, truth, answers) | {"oof_pearson": training_ceiling(seed)}
    with create_challenge(folder, declare(rounded(ceiling)), overwrite=overwrite) as writer:
        planted = [site_table(test.sites, "test")]
        for start, tokens, sites, label in training_blocks(seed, num_train):
            writer.train.append(tokens, np.full(len(tokens), tokens.shape[1]), target=label)
            planted.append(site_table(sites._replace(row=sites.row + start), "train"))
        writer.test.append(test.tokens, np.full(len(test.tokens), test.tokens.shape[1]))
        ids = np.arange(len(test.tokens)).astype(str)
        writer.write_answers(pd.DataFrame({"id": ids, "expression": answers, "usage": test.usage}))
        writer.write_subsets(test.subsets)
        writer.write_table("truth", pd.DataFrame({"id": ids, "expression": truth}))
        writer.write_table("planted", pd.concat(planted))


def site_table(sites: Sites, part: str) -> pd.DataFrame:
    """Return the planted sites as a table; start and stop count from the first base of the construct."""
    names = np.array([factor.name for factor in FACTORS])
    lengths = np.array([len(factor.consensus) for factor in FACTORS])
    columns = {"id": sites.row, "factor": names[sites.factor], "start": sites.start}
    stop, strand = sites.start + lengths[sites.factor], np.where(sites.strand == 1, "-", "+")
    return pd.DataFrame({"part": part, **columns, "stop": stop, "strand": strand})


def declare(ceiling: dict[str, float]) -> Declaration:
    """Return the declaration: DREAM 2022's scores over this challenge's subsets."""
    scores = [
        Score.of("pearson"),
        Score.of("spearman"),
        Score.of("mse", unit="bins"),
        Score.of("pearson_r2", "pearson_score", weights=WEIGHTS),
        Score.of("spearman", "spearman_score", weights=WEIGHTS),
    ]
    scores += [Score.of("pearson", f"pearson_{name}", subset=name) for name in SUBSETS]
    return Declaration(
        name="promoters",
        title="Simulated yeast promoters",
        source="simulated by data_prep.promoters; subsets after Rafi et al., Nat. Biotechnol. 2024",
        licence="CC0-1.0",
        targets=(Target("expression", UNIT),),
        scores=tuple(scores),
        sequences=(InputSequence(left_flank=BACKBONE_LEFT, right_flank=BACKBONE_RIGHT),),
        subsets=dream_subsets.kinds(SUBSETS),
        ceiling=ceiling,
    )


def training_blocks(seed: int, num_rows: int) -> Iterator[tuple[int, np.ndarray, Sites, np.ndarray]]:
    """Yield (first row, constructs, planted sites, labels) block by block."""
    for number in range(-(-num_rows // BLOCK_ROWS)):
        start = number * BLOCK_ROWS
        rng = generator(seed, "train", number)
        tokens, sites = make_promoters(BLOCK_ROWS, rng)
        keep = min(BLOCK_ROWS, num_rows - start)
        truth = expression(tokens[:keep], START, STOP)
        rng = generator(seed, "train reads", number)
        label = measure(truth, draw_reads(BLOCK_ROWS, rng)[:keep], rng)
        mine = sites.row < keep
        yield start, tokens[:keep], Sites(*(column[mine] for column in sites)), label


def answer_ceiling(test: Heldout, truth: np.ndarray, answers: np.ndarray) -> dict[str, float]:
    """Score the noiseless truth against the measured test answers, by every declared correlation."""
    members = dict(iter(test.subsets.groupby("subset")))
    squared, plain = 0.0, 0.0
    found = {"pearson": pearson(truth, answers), "spearman": spearman(truth, answers)}
    for name, weight in WEIGHTS.items():
        row, reference = np.arange(len(truth)), None
        if name != "all":
            row = members[name]["id"].to_numpy(dtype=int)
            reference = (
                members[name]["reference"].to_numpy(dtype=int) if SUBSETS[name].kind == "pairs" else None
            )
        pair = [x[row] if reference is None else x[row] - x[reference] for x in (truth, answers)]
        found[f"pearson_{name}"] = pearson(*pair)
        squared, plain = squared + weight * pearson(*pair) ** 2, plain + weight * spearman(*pair)
    del found["pearson_all"]
    total = sum(WEIGHTS.values())
    mse = float(np.square(truth - answers).mean())
    return found | {"mse": mse, "pearson_score": squared / total, "spearman_score": plain / total}


def training_ceiling(seed: int) -> float:
    """Return the correlation of noiseless truth and training labels over the first block."""
    _, tokens, _, label = next(training_blocks(seed, BLOCK_ROWS))
    return float(np.corrcoef(expression(tokens, START, STOP), label)[0, 1])
