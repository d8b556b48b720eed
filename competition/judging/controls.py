"""Score what knows nothing of the sequences."""

import numpy as np

from competition.judging.answers import Answers
from competition.judging.scoring import report_array

DEALS = 20  # of the second control, so that its own luck is small
MEAN, DEALT = "mean of the training targets", "training targets dealt at random"


def score_controls(answers: Answers, target: np.ndarray) -> dict[str, dict[str, dict[str, float]]]:
    """Score what knows nothing of the sequences, from training targets (N, T): control -> usage -> score.

    The mean of the targets has errors but no correlation; targets dealt at random, twenty times, have both.
    """
    count, rng = len(answers.ids), np.random.default_rng(0)
    middle = np.broadcast_to(target.mean(0), (count, target.shape[1]))
    deals = [report_array(answers, rng.choice(target, count)).scores for _ in range(DEALS)]
    dealt = {
        usage: {name: float(np.mean([d[usage][name] for d in deals if name in d[usage]])) for name in scores}
        for usage, scores in deals[0].items()
    }
    return {MEAN: report_array(answers, middle).scores, DEALT: dealt}
