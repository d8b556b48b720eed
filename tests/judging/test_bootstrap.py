"""Weighted metrics over counts are the plain metrics over rows that are really repeated."""

import numpy as np
import pytest

from competition.judging.bootstrap import draw_counts, interval, paired_gain, resample
from competition.metrics.registry import METRICS


def sample(num_rows: int = 60, num_targets: int = 1, seed: int = 0) -> tuple[np.ndarray, list[np.ndarray]]:
    """Truth and three predictions with many ties."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 9, (num_rows, num_targets)) / 2.0
    return truth, [(truth + rng.normal(0, scale, truth.shape)).round(0) for scale in (0.5, 2, 5)]


def repeated(metric: str, truth: np.ndarray, prediction: np.ndarray, counts: np.ndarray) -> float:
    rows = np.repeat(np.arange(len(truth)), counts.astype(int))
    return METRICS[metric].function(truth[rows], prediction[rows])


def labels(truth: np.ndarray, metric: str) -> np.ndarray:
    return (truth > 2).astype(float) if METRICS[metric].of_labels else truth


@pytest.mark.parametrize("num_targets", [1, 2])
@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_over_counts_is_the_metric_over_repeated_rows(metric, num_targets):
    truth, predictions = sample(num_targets=num_targets)
    truth = labels(truth, metric)
    (counts,) = draw_counts(len(truth), resamples=20)
    wanted = [[repeated(metric, truth, p, row) for row in counts] for p in predictions]
    np.testing.assert_allclose(resample(metric, truth, predictions, iter([counts])), wanted, rtol=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_unknown_answers_count_for_nothing(metric):
    truth, predictions = sample()
    truth = labels(truth, metric)
    truth[:10] = np.nan
    (counts,) = draw_counts(len(truth), resamples=5)
    found = resample(metric, truth, predictions, iter([counts]))
    alone = resample(metric, truth[10:], [p[10:] for p in predictions], iter([counts[:, 10:]]))
    np.testing.assert_allclose(found, alone)


@pytest.mark.parametrize("metric", ["pearson", "spearman", "pearson_r2", "r2"])
@pytest.mark.parametrize("unit", [1e-300, 1e-200, 1e200, 1e300])
def test_resamples_do_not_change_with_the_unit(metric, unit):
    truth, predictions = sample()
    (counts,) = draw_counts(len(truth), resamples=20)
    found = resample(metric, truth * unit, [p * unit for p in predictions], iter([counts]))
    np.testing.assert_allclose(found, resample(metric, truth, predictions, iter([counts])), rtol=1e-9)
    if metric != "r2":
        found = resample(metric, truth, [p * unit for p in predictions], iter([counts]))
        np.testing.assert_allclose(found, resample(metric, truth, predictions, iter([counts])), rtol=1e-9)


@pytest.mark.parametrize("metric", ["pearson", "spearman", "pearson_r2"])
def test_a_resample_in_which_the_prediction_does_not_vary_has_no_value(metric):
    truth, _ = sample()
    (counts,) = draw_counts(len(truth), resamples=50)
    draws = resample(metric, truth, [np.eye(60)[:, :1] / 3 + 0.1], iter([counts]))[0]
    np.testing.assert_array_equal(np.isnan(draws), counts[:, 0] == 0)


@pytest.mark.parametrize("metric", ["auroc", "auprc"])
def test_a_resample_without_both_labels_has_no_value(metric):
    truth = np.array([[1.0], [0], [0]])
    counts = np.array([[0, 2, 1], [3, 0, 0], [1, 1, 1]])
    draws = resample(metric, truth, [np.array([[2.0], [1], [1]])], iter([counts]))[0]
    np.testing.assert_array_equal(draws, [np.nan, np.nan, 1])


def test_a_resample_draws_as_many_rows_as_there_are_and_the_same_again():
    (counts,) = draw_counts(50, resamples=30)
    assert (counts.sum(1) == 50).all()
    (again,), (other,) = draw_counts(50, resamples=30), draw_counts(50, resamples=30, name="subset")
    assert (counts == again).all() and (counts != other).any()


def test_blocks_do_not_change_the_draws(monkeypatch):
    (whole,) = draw_counts(50, resamples=30)
    monkeypatch.setattr("competition.judging.bootstrap.BLOCK_CELLS", 350)
    np.testing.assert_array_equal(np.concatenate(list(draw_counts(50, resamples=30))), whole)


def test_a_group_comes_whole():
    group = np.repeat(np.arange(10), 3)[np.random.default_rng(0).permutation(30)]
    (counts,) = draw_counts(30, group=group, resamples=20)
    for number in range(10):
        assert (counts[:, group == number] == counts[:, group == number][:, :1]).all()


def test_the_interval_of_a_mean_is_that_of_theory():
    rng = np.random.default_rng(0)
    truth, prediction = np.zeros((400, 1)), rng.normal(1, 2, (400, 1))
    draws = resample("mse", truth, [prediction], draw_counts(400))[0]
    error = (prediction**2).std() / 20
    assert np.subtract(*interval(draws)[::-1]) == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_a_resample_without_a_value_is_left_out_of_the_interval():
    assert interval(np.array([np.nan, 1.0, 1.0])) == (1, 1)


def test_the_gain_is_the_plain_difference_and_smaller_is_better_where_it_is():
    truth, (good, _, bad) = sample(300)
    gain = paired_gain("mse", truth, bad, good, higher_is_better=False)
    assert gain.value == pytest.approx(
        METRICS["mse"].function(truth, bad) - METRICS["mse"].function(truth, good)
    )
    assert 0 < gain.low < gain.value < gain.high
