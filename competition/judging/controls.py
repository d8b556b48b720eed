"""Score controls, which ignore the sequences."""

import numpy as np

from competition.judging.answers import Answers
from competition.judging.scoring import report_array

REPEATS = 20  # of the label-permutation control, whose scores are averaged
MEAN_PREDICTOR, PERMUTED_LABELS = "mean predictor", "label-permutation control"


def score_controls(answers: Answers, target: np.ndarray) -> dict[str, dict[str, dict[str, float]]]:
    """Score the controls of a challenge, from training targets (N, T): control -> usage -> score.

    The mean predictor, the mean of the training targets, has errors but no correlation. The label-permutation
    control, which gives each row the targets of a random training row, has both.
    """
    count, rng = len(answers.ids), np.random.default_rng(0)
    middle = np.broadcast_to(target.mean(0), (count, target.shape[1]))
    repeats = [report_array(answers, rng.choice(target, count)).scores for _ in range(REPEATS)]
    permuted = {
        usage: {
            name: float(np.mean([each[usage][name] for each in repeats if name in each[usage]]))
            for name in scores
        }
        for usage, scores in repeats[0].items()
    }
    return {MEAN_PREDICTOR: report_array(answers, middle).scores, PERMUTED_LABELS: permuted}
