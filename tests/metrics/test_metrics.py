"""Metrics against scipy and scikit-learn, and the invariants that define them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn import metrics as sklearn_metrics

from competition.base.errors import InputError
from competition.data.declaration import Score
from competition.metrics import registry
from competition.metrics.auprc import auprc
from competition.metrics.auroc import auroc
from competition.metrics.metric import BLOCK_ROWS, UndefinedMetric
from competition.metrics.mse import mse
from competition.metrics.pearson import pearson
from competition.metrics.pearson_r2 import pearson_r2
from competition.metrics.ranking import ranks
from competition.metrics.registry import METRICS, fitting, score_all, score_folds
from competition.metrics.spearman import spearman

CORRELATIONS = ("pearson", "spearman", "pearson_r2")
ORACLES = {
    "pearson": lambda t, p: stats.pearsonr(t, p)[0],
    "spearman": lambda t, p: stats.spearmanr(t, p)[0],
    "pearson_r2": lambda t, p: stats.pearsonr(t, p)[0] ** 2,
    "r2": sklearn_metrics.r2_score,
    "mse": sklearn_metrics.mean_squared_error,
    "mae": sklearn_metrics.mean_absolute_error,
}
OF_NUMBERS = [name for name in METRICS if not METRICS[name].of_labels]  # for those of labels see the end
OF_LABELS = {"auroc": sklearn_metrics.roc_auc_score, "auprc": sklearn_metrics.average_precision_score}
# Values with few digits: ties are common, and sums stay exact enough to compare.
columns = arrays(np.float64, st.integers(3, 60), elements=st.integers(-500, 500).map(lambda i: i / 8))


def sample(num_rows: int = 1000, *, seed: int = 0, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    """Truth with many ties, like counts of reads, and a prediction of it."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(10, 3, num_rows).round(1)
    return truth.astype(dtype), (0.5 * truth + rng.normal(0, 1, num_rows).round(1)).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("num_rows", [2, 3, 1000, 2 * BLOCK_ROWS + 1])
@pytest.mark.parametrize("name", OF_NUMBERS)
def test_a_metric_equals_the_library(name, num_rows, dtype):
    truth, prediction = sample(num_rows, dtype=dtype)
    wanted = ORACLES[name](truth.astype(np.float64), prediction.astype(np.float64))
    assert METRICS[name].function(truth, prediction) == pytest.approx(wanted, rel=1e-11, abs=1e-13)


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_a_perfect_prediction_scores_exactly_the_best_value(name):
    truth, _ = sample(dtype="float32")
    metric = METRICS[name]
    best = metric.high if metric.direction == "maximize" else metric.low
    assert metric.function(truth, truth) == best


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_several_targets_are_averaged(name):
    (a, b), (c, d) = sample(seed=1), sample(seed=2)
    of_each = [METRICS[name].function(a, b), METRICS[name].function(c, d)]
    together = METRICS[name].function(np.stack([a, c], 1), np.stack([b, d], 1))
    assert together == pytest.approx(np.mean(of_each))


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_unknown_rows_are_left_out_of_their_own_target_alone(name):
    (a, b), (c, d) = sample(50, seed=1), sample(50, seed=2)
    a[:10], c[5:20] = np.nan, np.nan
    of_each = [METRICS[name].function(a[10:], b[10:])]
    of_each.append(METRICS[name].function(np.delete(c, range(5, 20)), np.delete(d, range(5, 20))))
    together = METRICS[name].function(np.stack([a, c], 1), np.stack([b, d], 1))
    assert together == pytest.approx(np.mean(of_each))


@given(columns, st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_the_order_of_rows_does_not_matter(truth, random):
    prediction = truth[::-1] + np.arange(len(truth))
    order = np.array(random.sample(range(len(truth)), len(truth)))
    for metric in map(METRICS.get, OF_NUMBERS):
        if np.ptp(truth) and np.ptp(prediction):
            moved = metric.function(truth[order], prediction[order])
            assert moved == pytest.approx(metric.function(truth, prediction), abs=1e-9)


@given(columns)
@settings(max_examples=50)
def test_ranks_are_scipys_mid_ranks(values):
    np.testing.assert_array_equal(ranks(values), stats.rankdata(values))
    np.testing.assert_array_equal(ranks(values.astype(np.float32)), stats.rankdata(values))


@given(columns)
@settings(max_examples=50)
def test_spearman_does_not_change_under_a_monotone_map(prediction):
    truth = np.arange(len(prediction)) % 7 + 0.0
    if np.ptp(prediction):
        bent = np.exp(prediction / 20)
        assert spearman(truth, bent) == spearman(truth, prediction)
        assert spearman(truth, -bent) == pytest.approx(-spearman(truth, prediction))


@given(columns, st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
@settings(max_examples=50)
def test_pearson_does_not_change_under_an_affine_map(prediction, scale, offset):
    truth = np.arange(len(prediction)) % 7 + 0.0
    if np.ptp(prediction):
        mapped = scale * prediction + offset
        assert pearson(truth, mapped) == pytest.approx(pearson(truth, prediction), abs=1e-8)
        assert pearson(truth, -mapped) == pytest.approx(-pearson(truth, mapped), abs=1e-12)
        assert pearson_r2(truth, -mapped) == pytest.approx(pearson(truth, prediction) ** 2, abs=1e-8)


@pytest.mark.parametrize("offset", [1e6, 1e9, 1e12])
def test_a_huge_offset_costs_no_precision(offset):
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 64, (2, 5000)) / 8.0  # eighths: exact at any of these offsets
    for name in ("pearson", "spearman", "pearson_r2"):
        plain = METRICS[name].function(truth, prediction)
        assert METRICS[name].function(truth + offset, prediction - offset) == pytest.approx(plain, abs=1e-12)
    assert mse(truth + offset, prediction + offset) == mse(truth, prediction)


def test_pearson_r2_and_r2_differ_where_the_scale_is_wrong():
    truth, _ = sample()
    assert METRICS["pearson_r2"].function(truth, 3 * truth) == pytest.approx(1.0)
    assert METRICS["r2"].function(truth, 3 * truth) < -1


@pytest.mark.parametrize("name", CORRELATIONS)
@pytest.mark.parametrize("constant", [0.1, 11.1, 1e9])
def test_a_constant_prediction_has_no_correlation(name, constant):
    truth, _ = sample()
    with pytest.raises(UndefinedMetric, match="prediction is constant"):
        METRICS[name].function(truth, np.full(len(truth), constant))


@pytest.mark.parametrize("name", [*CORRELATIONS, "r2"])
def test_a_constant_truth_has_no_score(name):
    _, prediction = sample()
    with pytest.raises(UndefinedMetric, match="truth is constant"):
        METRICS[name].function(np.full(len(prediction), 0.1), prediction)


def test_the_mean_has_an_error_and_explains_no_variance():
    truth, _ = sample()
    mean = np.full(len(truth), truth.mean())
    assert mse(truth, mean) == pytest.approx(truth.var())
    assert METRICS["r2"].function(truth, mean) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("num_known", [0, 1])
def test_fewer_than_two_known_rows_have_no_score(name, num_known):
    truth = np.array([1.0] * num_known + [np.nan] * 3)
    with pytest.raises(UndefinedMetric, match=f"of {num_known} rows is known; wanted at least 2"):
        METRICS[name].function(truth, np.arange(len(truth)))


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_prediction_that_is_not_finite_is_refused_even_where_the_truth_is_unknown(name, bad):
    truth, prediction = sample(10)
    truth[3], prediction[3] = np.nan, bad
    with pytest.raises(InputError, match=r"1 predictions are not finite \(row 3"):
        METRICS[name].function(truth, prediction)


def test_an_infinite_truth_is_refused():
    with pytest.raises(InputError, match="infinite"):
        mse(np.array([1.0, np.inf]), np.zeros(2))


@pytest.mark.parametrize("shapes", [((3,), (4,)), ((3,), (3, 1)), ((3, 2, 1), (3, 2, 1)), ((3, 0), (3, 0))])
def test_shapes_that_do_not_match_are_refused(shapes):
    with pytest.raises(InputError, match="wanted the same shape"):
        mse(*map(np.zeros, shapes))


@pytest.mark.parametrize("name", ["mse", "mae"])
def test_an_error_out_of_float64s_range_is_refused_and_never_infinite(name):
    truth, prediction = sample()
    with pytest.raises(InputError, match="too large or too small"):
        METRICS[name].function(truth * 1e305, -prediction * 1e305)


@given(columns, st.integers(-300, 300), st.integers(-300, 300))
@settings(max_examples=100)
def test_a_correlation_does_not_change_with_the_unit_of_either_side(prediction, power, other):
    truth = np.arange(len(prediction)) % 7 + 0.0
    if np.ptp(prediction):
        for metric in (pearson, spearman, pearson_r2):
            found = metric(truth * 10.0**power, prediction * 10.0**other)
            assert found == pytest.approx(metric(truth, prediction), abs=1e-9)


@given(columns, st.integers(-300, 300))
@settings(max_examples=50)
def test_explained_variance_does_not_change_with_the_unit_of_both_sides(prediction, power):
    truth, unit = np.arange(len(prediction)) % 7 + 0.0, 10.0**power
    found = METRICS["r2"].function(truth * unit, prediction * unit)
    assert found == pytest.approx(METRICS["r2"].function(truth, prediction), rel=1e-9, abs=1e-9)


@given(columns, st.integers(-300, 300))
@settings(max_examples=50)
def test_a_perfect_prediction_scores_exactly_1_in_any_unit(truth, power):
    truth = truth * 10.0**power
    if np.ptp(truth):
        assert [METRICS[name].function(truth, truth) for name in (*CORRELATIONS, "r2")] == [1, 1, 1, 1]


@pytest.mark.parametrize("power", range(-325, -150, 5))
def test_noise_scores_as_noise_however_small_it_is(power):
    truth, noise = np.random.default_rng(0).normal(size=(2, 1000)) * [[1], [10.0**power]]
    if not noise.any():
        with pytest.raises(UndefinedMetric, match="prediction is constant"):
            pearson(truth, noise)
    else:  # of the smallest some digits are gone, and what is left is scored
        assert pearson(truth, noise) == pytest.approx(stats.pearsonr(truth, np.ldexp(noise, 500))[0])
        assert abs(pearson(truth, noise)) < 0.1


def test_every_file_that_defines_a_metric_is_one_of_the_metrics():
    files = Path(registry.__file__).parent.glob("*.py")
    assert set(METRICS) == {path.stem for path in files if "\nMETRIC = " in path.read_text()}


@pytest.mark.parametrize("name", METRICS)
def test_a_score_has_the_direction_and_the_range_of_its_metric(name):
    score, wanted = Score.of(name), METRICS[name]
    assert (score.name, score.metric, score.direction) == (name, name, wanted.direction)
    assert (score.low, score.high) == (wanted.low, wanted.high)


def test_the_unit_of_a_score_follows_from_that_of_the_target():
    units = {name: Score.of(name, unit="bins").unit for name in METRICS}
    assert {name: unit for name, unit in units.items() if unit} == {"mse": "squared bins", "mae": "bins"}
    assert Score.of("mse").unit == ""


def test_a_metric_that_is_the_square_of_another_one_is_so_everywhere():
    truth, prediction = sample()
    for metric in METRICS.values():
        if metric.square_of:
            base = METRICS[metric.square_of].function(truth, prediction)
            assert metric.function(truth, prediction) == pytest.approx(base**2)


def test_a_metric_stays_within_its_range():
    rng = np.random.default_rng(0)
    for seed in range(200):
        truth, prediction = rng.integers(0, 3, (2, 4)) + np.eye(2, 4) / 3
        for name, metric in fitting(truth).items():
            assert metric.low <= metric.function(truth, prediction) <= metric.high, (name, seed)


def labels(num_rows: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels of 0 and 1, both there, and a prediction of them with many ties."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(num_rows) % 3 == 0).astype(np.float64)
    return truth, (truth + rng.normal(0, 1, num_rows)).round(1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("num_rows", [2, 3, 50, 5000])
@pytest.mark.parametrize("name", OF_LABELS)
def test_a_metric_of_labels_is_scikit_learns(name, num_rows, dtype):
    for seed in range(5):
        truth, prediction = (values.astype(dtype) for values in labels(num_rows, seed=seed))
        wanted = OF_LABELS[name](truth, prediction)
        assert METRICS[name].function(truth, prediction) == pytest.approx(wanted, abs=1e-12)


@given(arrays(np.float64, 12, elements=st.integers(-2, 2).map(float)), st.integers(1, 2**12 - 2))
@settings(deadline=None, max_examples=50)
def test_ties_between_predictions_are_scikit_learns(prediction, bits):
    truth = np.array([bits >> place & 1 for place in range(12)], np.float64)
    for name, wanted in OF_LABELS.items():
        assert METRICS[name].function(truth, prediction) == pytest.approx(wanted(truth, prediction))


def test_auroc_is_1_for_right_0_for_reversed_and_one_half_for_equal_predictions():
    truth, _ = labels(100)
    assert [auroc(truth, p) for p in (truth, -truth, np.zeros(100))] == [1, 0, 0.5]


def test_auprc_is_1_for_right_and_the_share_of_ones_for_equal_predictions():
    truth, _ = labels(100)
    assert [auprc(truth, p) for p in (truth, np.zeros(100))] == [1, truth.mean()]


@pytest.mark.parametrize("name", OF_LABELS)
def test_labels_are_averaged_over_targets_and_unknown_rows_left_out(name):
    (a, b), (c, d) = labels(60, seed=1), labels(60, seed=2)
    a[:10] = np.nan
    wanted = (OF_LABELS[name](a[10:], b[10:]) + OF_LABELS[name](c, d)) / 2
    assert METRICS[name].function(np.stack([a, c], 1), np.stack([b, d], 1)) == pytest.approx(wanted)


@pytest.mark.parametrize("name", OF_LABELS)
def test_a_metric_of_labels_wants_both_and_no_other_number(name):
    with pytest.raises(UndefinedMetric, match="truth is constant"):
        METRICS[name].function(np.ones(3), np.arange(3))
    with pytest.raises(InputError, match=rf"{name}: the truth holds 0\.5; wanted 0 and 1"):
        METRICS[name].function(np.array([0, 1, 0.5]), np.arange(3))


def test_metrics_of_labels_fit_labels_alone():
    truth, _ = labels(10)
    assert set(fitting(truth[:, None])) - set(OF_NUMBERS) == set(OF_LABELS)
    assert list(fitting(truth[:, None] + 1)) == OF_NUMBERS


def test_out_of_fold_rows_are_scored_together_and_by_fold_by_every_metric_that_fits():
    truth, prediction = np.random.default_rng(0).normal(size=(2, 50, 1))
    fold = np.arange(50) % 3
    together, by_fold = score_all(truth, prediction), score_folds(truth, prediction, fold)
    assert list(together) == list(by_fold) == OF_NUMBERS
    assert together["pearson"] == pytest.approx(stats.pearsonr(truth[:, 0], prediction[:, 0])[0])
    squares = np.square(truth - prediction)[:, 0]
    assert by_fold["mse"] == pytest.approx([squares[fold == number].mean() for number in range(3)])


def test_a_metric_without_a_value_is_absent_and_the_others_are_there():
    truth, prediction = labels(40)
    fold = np.arange(40) % 4
    truth[fold == 2] = 0
    together, by_fold = (
        score(truth, prediction, *more) for score, more in ((score_all, ()), (score_folds, [fold]))
    )
    assert set(OF_LABELS) <= set(together) and not {*OF_LABELS, "pearson"} & set(by_fold)
    assert len(by_fold["mse"]) == 4
    assert "pearson" not in score_all(np.zeros(5), np.arange(5))
