"""What a run reports of its out-of-fold predictions."""

import numpy as np
import pytest
from scipy import stats

from competition.training.cross_validation import Predictions
from competition.training.report import oof_scores


def test_out_of_fold_rows_are_scored_by_every_metric_that_has_a_meaning_for_the_targets():
    truth, prediction = np.random.default_rng(0).normal(size=(2, 50, 1))
    scores = oof_scores(Predictions(prediction, test=None, folds=[]), truth)
    assert scores["pearson"] == pytest.approx(stats.pearsonr(truth[:, 0], prediction[:, 0])[0])
    assert scores["mse"] == pytest.approx(np.square(truth - prediction).mean())
    assert "auroc" not in scores
