"""Score controls, which ignore the sequences."""

from collections.abc import Sequence

import numpy as np

from competition.judging.answers import Answers
from competition.judging.scoring import Report, report_array

REPEATS = 20  # of the label-permutation control, whose scores are averaged
MEAN_PREDICTOR, PERMUTED_LABELS = "mean predictor", "label-permutation control"


def score_controls(answers: Answers, target: np.ndarray) -> dict[str, Report]:
    """Score the controls of a challenge by their names, from training targets (N, T).

    The mean predictor, the mean of the training targets, has errors but no correlation. The label-permutation
    control, which gives each row the targets of a random training row, has both.
    """
    count, rng = len(answers.ids), np.random.default_rng(0)
    middle = np.broadcast_to(target.mean(0), (count, target.shape[1]))
    repeats = [report_array(answers, rng.choice(target, count)) for _ in range(REPEATS)]
    return {MEAN_PREDICTOR: report_array(answers, middle), PERMUTED_LABELS: _average(repeats)}


def _average(reports: Sequence[Report]) -> Report:
    targets = {name: _means([each.targets[name] for each in reports]) for name in reports[0].targets}
    return Report(_means([each.scores for each in reports]), {}, targets)


def _means(repeats: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Average each score of the first repeat over those in which it has a value: usage -> score -> mean."""
    return {
        usage: {
            name: float(np.mean([each[usage][name] for each in repeats if name in each[usage]]))
            for name in scores
        }
        for usage, scores in repeats[0].items()
    }
