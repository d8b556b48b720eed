"""Resampling: the full DREAM 2022 score of ten submissions, against recomputing it resample by resample.

    python benchmarks/bootstrap.py
    python benchmarks/bootstrap.py --challenge promoters

Takes ids, subsets, pairs and weights of a challenge, DREAM 2022 where no other is named; answers and
predictions are random numbers, for the time does not depend on them. The other side draws rows and calls
scipy on what was drawn, as a script would, for a few resamples. The ratio is the result.
"""

import argparse
import dataclasses
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from competition.base.errors import InputError, exit_status
from competition.data.find import find_challenge
from competition.judging.answers import Answers, read_answers
from competition.judging.uncertainty import resample_scores

DREAM = "dream2022"
SUBMISSIONS, RESAMPLES, BY_HAND = 10, 1_000, 5


def by_hand(answers: Answers, predictions: list[np.ndarray], rng: np.random.Generator) -> None:
    """Draw each subset's members once and score every submission with scipy."""
    for subset in answers.subsets.values():
        drawn = rng.integers(0, len(subset.rows), len(subset.rows))
        truth = subset.differences(answers.truth)[drawn, 0]
        for prediction in predictions:
            values = subset.differences(prediction)[drawn, 0]
            stats.pearsonr(truth, values)
            stats.spearmanr(truth, values)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--challenge", metavar="NAME|PATH", default=DREAM, help="(default: %(default)s)")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of challenges")
    return exit_status(measure, parser.parse_args(arguments))


def measure(options: argparse.Namespace) -> None:
    if options.challenge == DREAM and not (options.data / DREAM).exists():
        raise InputError(
            f"{options.data / DREAM} is not here; run: python -m data_prep dream2022 download/ "
            "(see --help there), or name another --challenge, such as promoters"
        )
    answers = read_answers(find_challenge(options.challenge, options.data))
    rng = np.random.default_rng(0)
    answers = dataclasses.replace(answers, truth=rng.normal(size=answers.truth.shape))
    predictions = [answers.truth + rng.normal(size=answers.truth.shape) for _ in range(SUBMISSIONS)]
    print(f"{len(answers.ids):,} rows, {SUBMISSIONS} submissions, {len(answers.declaration.scores)} scores")
    started = time.perf_counter()
    resample_scores(answers, predictions, "all", resamples=RESAMPLES)
    kit = (time.perf_counter() - started) / RESAMPLES
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"kit      {kit * RESAMPLES:6.1f} s for {RESAMPLES:,} resamples, peak {peak:.2f} GB")
    started = time.perf_counter()
    for _ in range(BY_HAND):
        by_hand(answers, predictions, rng)
    hand = (time.perf_counter() - started) / BY_HAND
    print(f"by hand  {hand * RESAMPLES:6.1f} s for as many, from {BY_HAND}: {hand / kit:.1f} times as long")


if __name__ == "__main__":
    sys.exit(main())
