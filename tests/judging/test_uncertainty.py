"""Intervals and tiers come from resamples that are the same for every submission."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from competition.data.declaration import Declaration, Score, Target
from competition.data.hashing import hash_text
from competition.data.writer import create_challenge
from competition.judging.answers import Answers, Subset, read_answers
from competition.judging.bootstrap import bayes_factor, draw_counts, resample, significantly_better
from competition.judging.scoring import match, score_report
from competition.judging.uncertainty import (
    intervals,
    known,
    notes,
    pack,
    resample_scores,
    tiers,
    unpack,
)

NUM_ROWS = 120
SCORES = (
    Score.of("pearson", "mixed", weights={"all": 1.0, "few": 0.5, "steps": 2.0}),
    Score.of("mse"),
    Score.of("spearman", "few", subset="few"),
    Score.of("spearman", "steps", subset="steps"),
)


def build(folder: Path, *, rows_per_group: int = 0) -> Answers:
    """A challenge with a subset of rows and one of pairs, half of it public."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 4, (NUM_ROWS, 30)).astype(np.uint8)
    ids = [f"r{i}" for i in range(NUM_ROWS)]
    answers = pd.DataFrame({"id": ids, "y": rng.normal(size=NUM_ROWS), "usage": ["public", "private"] * 60})
    answers.loc[:4, "y"] = np.nan
    if rows_per_group:
        answers["group"] = [f"g{i // rows_per_group}" for i in range(NUM_ROWS)]
    few = pd.DataFrame({"subset": "few", "id": ids[20:60], "reference": ""})
    steps = pd.DataFrame({"subset": "steps", "id": ids[60:90], "reference": ids[90:120]})
    challenge = Declaration("toy", (Target("y"),), SCORES, subsets={"few": "rows", "steps": "pairs"})
    with create_challenge(folder, challenge) as writer:
        writer.train.append(tokens, np.full(NUM_ROWS, 30), target=rng.normal(size=NUM_ROWS))
        writer.test.append(tokens, np.full(NUM_ROWS, 30), rows={"id": ids})
        writer.write_answers(answers)
        writer.write_subsets(pd.concat([few, steps]))
    return read_answers(folder)


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> Answers:
    return build(tmp_path_factory.mktemp("data") / "toy")


def predict(answers: Answers, noise: float = 1.0, seed: int = 1) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return np.nan_to_num(answers.truth) + generator.normal(0, noise, answers.truth.shape)


def table(answers: Answers, prediction: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"id": answers.ids, "y": prediction[:, 0]})


@pytest.mark.parametrize("usage", ["public", "private", "all"])
def test_intervals_hold_the_score_itself(answers, usage):
    prediction = predict(answers)
    scores = score_report(answers, table(answers, prediction)).scores[usage]
    found = intervals(resample_scores(answers, [prediction], usage, resamples=300))
    assert found.keys() == scores.keys()
    assert all(low < scores[name] < high for name, (low, high) in found.items())


def test_one_draw_of_every_row_once_is_the_score(answers, monkeypatch):
    prediction = predict(answers)
    report = score_report(answers, table(answers, prediction)).scores["private"]

    def once(count, **_):
        yield np.ones((1, count))

    monkeypatch.setattr("competition.judging.uncertainty.draw_counts", once)
    draws = resample_scores(answers, [match(answers, table(answers, prediction))], "private", resamples=1)
    assert {name: value[0, 0] for name, value in draws.items()} == pytest.approx(report)


def test_every_submission_sees_the_same_resamples(answers):
    one, two = predict(answers, seed=1), predict(answers, seed=2)
    together = resample_scores(answers, [one, two], "all", resamples=50)
    for number, each in enumerate((one, two)):
        alone = resample_scores(answers, [each], "all", resamples=50)
        for name, draws in alone.items():
            np.testing.assert_allclose(together[name][number], draws[0])


def test_dependent_rows_widen_the_interval(tmp_path):
    prediction, widths = None, []
    for size in (0, 6):
        answers = build(tmp_path / str(size), rows_per_group=size)
        error = np.repeat(np.random.default_rng(3).normal(size=(20, 1)), 6, axis=0)  # one a group
        prediction = np.nan_to_num(answers.truth) + error
        low, high = intervals(resample_scores(answers, [prediction], "all", resamples=400))["mse"]
        widths.append(high - low)
    assert widths[1] > 1.5 * widths[0]


def test_a_handful_of_groups_are_too_few_to_draw_from(tmp_path):
    draws = [
        resample_scores(answers, [predict(answers)], "all", resamples=20)["mse"]
        for answers in (build(tmp_path / str(size), rows_per_group=size) for size in (0, 30))
    ]
    np.testing.assert_array_equal(*draws)


def make_pairs(references: np.ndarray, group: np.ndarray | None = None) -> Answers:
    """Answers of pairs (the row i and its reference, which comes after the rows), all 0 and private."""
    count = len(references) + int(references.max()) + 1
    ids, private = pd.Index([f"r{i}" for i in range(count)]), np.zeros(len(references), bool)
    pairs = Subset(np.arange(len(references)), len(references) + references, private)
    scores = (Score.of("mse", subset="steps"),)
    challenge = Declaration("toy", (Target("y"),), scores, subsets={"steps": "pairs"})
    everything = Subset(np.arange(count), None, np.zeros(count, bool))
    subsets = {"all": everything, "steps": pairs}
    return Answers(challenge, ids, np.zeros((count, 1)), ids, subsets, group)


def errors_of(answers: Answers, seed: int) -> np.ndarray:
    """Predictions of which those of references, the last 40 rows, are the worst."""
    errors = np.random.default_rng(seed).normal(size=answers.truth.shape)
    errors[-40:] *= 2
    return errors


def test_resamples_of_pairs_vary_as_much_as_the_score_does_from_test_set_to_test_set():
    answers = make_pairs(np.repeat(np.arange(40), 8))
    steps = answers.subsets["steps"]
    fresh = [(steps.differences(errors_of(answers, seed)) ** 2).mean() for seed in range(1000)]
    several = [errors_of(answers, seed) for seed in range(10)]
    drawn = resample_scores(answers, several, "all", resamples=200)["mse"].std(axis=1)
    single = [resample("mse", np.zeros((320, 1)), [steps.differences(e)], draw_counts(320)) for e in several]
    assert np.mean(drawn) == pytest.approx(np.std(fresh), rel=0.15)
    assert np.mean([each.std() for each in single]) < 0.6 * np.std(fresh)
    assert notes(answers, "all") == []


@pytest.mark.parametrize("with_groups", [False, True])
def test_a_resample_of_pairs_draws_all_that_a_chain_of_shared_rows_and_groups_joins(with_groups):
    rng = np.random.default_rng(0)
    references = rng.integers(0, 40, 60)
    group = np.array([f"g{i}" for i in rng.integers(0, 900, 60 + references.max() + 1)])
    answers = make_pairs(references, group if with_groups else None)
    rows = np.stack([answers.subsets["steps"].rows, answers.subsets["steps"].references])
    sets = [{int(pair)} for pair in range(60)]
    for one, other in itertools.combinations(range(60), 2):
        shares = set(rows[:, one]) & set(rows[:, other])
        if shares or (with_groups and set(group[rows[:, one]]) & set(group[rows[:, other]])):
            first, second = (next(each for each in sets if pair in each) for pair in (one, other))
            sets = [each for each in sets if each not in (first, second)] + [first | second]
    assert 20 <= len(sets) < 40
    sets.sort(key=lambda pairs: min(pairs))
    error = answers.subsets["steps"].differences(errors_of(answers, 1))[:, 0]
    found = resample_scores(answers, [errors_of(answers, 1)], "all", resamples=30)["mse"][0]
    for number, value in enumerate(found):
        draw = np.random.default_rng([0, int(hash_text(["steps/all"])[0]), number])
        pairs = [pair for each in draw.integers(0, len(sets), len(sets)) for pair in sets[each]]
        assert value == pytest.approx((error[pairs] ** 2).mean())


def test_what_is_drawn_apart_although_it_depends_on_each_other_is_named(tmp_path):
    few = make_pairs(np.repeat(np.arange(19), 8))
    assert notes(few, "private") == [
        "private steps: 19 sets of pairs that share rows are too few to draw from (wanted 20 or more), "
        "so single pairs are drawn, and intervals are too narrow"
    ]
    assert notes(few, "public") == []  # nothing of it is known
    grouped = make_pairs(np.repeat(np.arange(40), 8), np.repeat(["x", "y"], 180))
    assert "1 sets of pairs that share rows or groups are too few" in notes(grouped, "all")[0]
    assert "so sets of pairs that share rows are drawn" in notes(grouped, "all")[0]
    rows = notes(build(tmp_path / "toy", rows_per_group=30), "all")
    assert rows[0].startswith("all rows: 4 groups are too few") and "so single rows are drawn" in rows[0]


def test_only_known_rows_of_the_usage_take_part(answers):
    subset = answers.subsets["all"]
    assert known(answers, subset, "all").sum() == NUM_ROWS - 5
    assert known(answers, subset, "public").sum() + known(answers, subset, "private").sum() == NUM_ROWS - 5


def test_draws_survive_being_written():
    draws = np.array([0.25, np.nan, -1.5])
    np.testing.assert_array_equal(unpack(pack(draws)), draws)


def test_the_bayes_factor_counts_wins_and_halves_draws():
    assert bayes_factor(np.array([1.0, 1, 1, -1])) == 3
    assert bayes_factor(np.array([1.0, 0])) == 3
    assert bayes_factor(np.array([1.0, 1])) == np.inf


def test_a_lead_is_significant_by_the_interval_or_by_the_declared_bayes_factor():
    gains = np.where(np.arange(1000) < 900, 1.0, -1.0)  # 9 resamples won for one lost
    assert [significantly_better(gains, factor) for factor in (None, 3.0, 9.0, 9.1)] == [
        False,
        True,
        True,
        False,
    ]
    gains = np.where(np.arange(1000) < 980, 1.0, -1.0)
    assert significantly_better(gains) and not significantly_better(-gains)
    assert not significantly_better(np.zeros(1000)) and not significantly_better(np.zeros(1000), 3.0)


def test_submissions_that_cannot_be_told_apart_share_a_tier():
    rng = np.random.default_rng(0)
    common = rng.normal(0, 0.05, 1000)  # what a resample does to all alike
    draws = [level + common + rng.normal(0, 0.01, 1000) for level in (0.80, 0.799, 0.75, 0.749, 0.6)]
    assert tiers(draws, maximize=True) == [1, 1, 2, 2, 3]
    assert tiers([-each for each in draws], maximize=False) == [1, 1, 2, 2, 3]


def test_a_lead_that_single_intervals_hide_is_seen_in_pairs():
    common, rng = np.random.default_rng(0).normal(0, 0.05, 1000), np.random.default_rng(1)
    first, second = (level + common + rng.normal(0, 0.002, 1000) for level in (0.80, 0.79))
    assert np.quantile(second, 0.975) > np.quantile(first, 0.025)
    assert tiers([first, second], maximize=True) == [1, 2]
