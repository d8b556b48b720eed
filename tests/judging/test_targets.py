"""Each of several targets is scored as if it were alone, beside the mean, by the same resamples."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from competition import compare as compare_program
from competition import score as score_program
from competition.compare import compare
from competition.data.declaration import Declaration, Score, Target
from competition.data.writer import create_challenge
from competition.judging.answers import Answers, read_answers
from competition.judging.bootstrap import false_positive_rate, significantly_better
from competition.judging.controls import score_controls
from competition.judging.manifest import Manifest, change, of_target, read_manifest, to_json
from competition.judging.record import score_out_of_fold
from competition.judging.scoring import report_array, score_with_intervals
from competition.judging.uncertainty import resample_scores, resample_targets

NUM_ROWS = 100
SCORES = (
    Score.of("pearson"),
    Score.of("pearson_r2"),
    Score.of("mse", "mixed", weights={"all": 1.0, "steps": 3.0}),
)


def build(folder: Path, halves=("public", "private"), scores: tuple[Score, ...] = SCORES) -> Answers:
    """A challenge of two targets with a subset of pairs; in the first half the second one is constant."""
    rng = np.random.default_rng(0)
    tokens, lengths = rng.integers(0, 4, (NUM_ROWS, 30)).astype(np.uint8), np.full(NUM_ROWS, 30)
    ids, truth = [f"r{i}" for i in range(NUM_ROWS)], rng.normal(size=(NUM_ROWS, 2))
    usage = np.where(np.arange(NUM_ROWS) < 40, *halves)
    truth[:40, 1] = 0.5
    pairs = pd.DataFrame({"subset": "steps", "id": ids[40:70], "reference": ids[70:]})
    declaration = Declaration("toy", (Target("dev"), Target("hk")), scores, subsets={"steps": "pairs"})
    with create_challenge(folder, declaration) as writer:
        writer.train.append(tokens, lengths, target=truth[::-1])
        writer.test.append(tokens, lengths, rows={"id": ids})
        writer.write_answers(pd.DataFrame({"id": ids, "dev": truth[:, 0], "hk": truth[:, 1], "usage": usage}))
        writer.write_subsets(pairs)
    return read_answers(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("data") / "toy"


@pytest.fixture(scope="module")
def answers(folder) -> Answers:
    return build(folder)


def predict(answers: Answers, *, seed: int = 1, sign: int = 1) -> np.ndarray:
    """Predictions whose second target is worse, or turned round."""
    noise = np.random.default_rng(seed).normal(size=answers.truth.shape)
    return answers.truth * [1, sign] + noise * [0.5, 1]


def alone(answers: Answers, number: int) -> Answers:
    declaration = replace(answers.declaration, targets=(answers.declaration.targets[number],))
    return replace(answers, declaration=declaration, truth=answers.truth[:, [number]])


def test_a_target_has_the_scores_and_intervals_that_it_has_alone(answers):
    prediction = predict(answers)
    scored = score_with_intervals(answers, prediction)
    for number, name in enumerate(("dev", "hk")):
        single = score_with_intervals(alone(answers, number), prediction[:, [number]])
        assert scored.targets[name]["scores"] == single.report.scores
        found = scored.targets[name]["intervals"]
        assert found == {usage: single.intervals.get(usage, {}) for usage in found}
        assert set(found) == {"public", "private", "all"} and single.targets == {}


def test_a_score_is_the_mean_of_those_of_the_targets_and_so_is_each_of_its_resamples(answers):
    prediction = predict(answers)
    report = report_array(answers, prediction, ["private"])
    for name, value in report.scores["private"].items():
        assert value == pytest.approx(np.mean([each["private"][name] for each in report.targets.values()]))
    means = resample_scores(answers, [prediction], "private", resamples=20)
    for name, draws in resample_targets(answers, [prediction], "private", resamples=20).items():
        np.testing.assert_allclose(draws.mean(axis=0), means[name])


def test_resamples_of_a_squared_correlation_are_squared_before_targets_are_averaged(answers):
    scored = score_with_intervals(answers, predict(answers, sign=-1), ["private"])
    low, high = scored.intervals["private"]["pearson_r2"]
    assert low < scored.report.scores["private"]["pearson_r2"] < high


def test_a_target_without_a_value_is_named_and_leaves_the_others_theirs(answers):
    report = report_array(answers, predict(answers), ["public"])
    assert report.absent["public"]["pearson"].startswith("target 'hk', subset 'all': the truth is constant")
    assert "pearson" in report.targets["dev"]["public"] and "pearson" not in report.targets["hk"]["public"]
    single = report_array(alone(answers, 1), predict(answers)[:, [1]], ["public"])
    assert single.absent["public"]["pearson"].startswith("subset 'all': the truth is constant")


def test_controls_have_scores_of_each_target_whose_mean_is_theirs(answers):
    target = np.random.default_rng(0).normal(size=(NUM_ROWS, 2))
    for report in score_controls(answers, target).values():
        of_each = [each["all"]["mixed"] for each in report.targets.values()]
        assert report.scores["all"]["mixed"] == pytest.approx(np.mean(of_each))


# Manifests


def manifest(**fields: object) -> Manifest:
    return Manifest("toy", "d", "a", "a-run", "2030-01-02T03:04:05+00:00", **fields)


def test_a_manifest_of_one_target_does_not_list_it_and_one_of_several_is_read_back(tmp_path):
    assert "targets" not in json.loads(to_json(manifest()))
    several = manifest(targets={"dev": {"oof": {"mse": 0.1}, "scores": {"all": {"mse": 1 / 3}}}})
    (tmp_path / "a.json").write_text(to_json(several))
    assert read_manifest(tmp_path / "a.json") == several


def test_scoring_again_keeps_what_a_manifest_has_of_each_target_out_of_fold():
    before = manifest(targets={"dev": {"oof": {"mse": 0.1}, "scores": {"all": {"mse": 0.2}}}})
    after = change(before, seed=3, targets={"dev": {"scores": {"all": {"mse": 0.3}}}})
    assert after.seed == 3 and after.targets["dev"] == {"oof": {"mse": 0.1}, "scores": {"all": {"mse": 0.3}}}
    assert of_target(after, "dev").scores == {"all": {"mse": 0.3}} and of_target(after, "hk").scores == {}


def test_out_of_fold_predictions_are_scored_by_target_in_all_and_in_each_fold():
    truth, prediction = np.random.default_rng(0).normal(size=(2, 30, 2))
    fold = np.arange(30) % 3
    found = score_out_of_fold(["dev", "hk"], truth, prediction, fold)
    single = score_out_of_fold(["hk"], truth[:, [1]], prediction[:, [1]], fold)
    assert found["targets"]["hk"] == {name: single[name] for name in ("oof", "fold_scores")}
    assert single["targets"] == {}


# What users see


def test_two_submissions_are_compared_on_each_target_by_the_same_resamples(answers):
    first, second = predict(answers), predict(answers, seed=2)
    lines = compare(answers, first, second, "private").set_index(["target", "score"])
    for number, name in enumerate(("dev", "hk")):
        single = compare(alone(answers, number), first[:, [number]], second[:, [number]], "private")
        pd.testing.assert_frame_equal(lines.loc[name], single.drop(columns="target").set_index("score"))
    gains = lines["gain of B"].unstack("target")
    np.testing.assert_allclose(gains[""], gains[["dev", "hk"]].mean(axis=1))


@pytest.mark.parametrize("rule", [None, 3.0])
def test_of_pairs_that_do_not_differ_chance_calls_as_many_better_as_is_said(rule):
    rng, found = np.random.default_rng(0), 0
    for _ in range(2000):
        gains = rng.normal(size=400) + rng.normal()  # resamples wander around the gain as it around 0
        found += significantly_better(gains if np.median(gains) > 0 else -gains, rule)
    assert found / 2000 == pytest.approx(false_positive_rate(rule), abs=0.03)


def write(path: Path, answers: Answers, prediction: np.ndarray) -> str:
    pd.DataFrame({"id": answers.ids, "dev": prediction[:, 0], "hk": prediction[:, 1]}).to_csv(
        path, index=False
    )
    return str(path)


def test_score_prints_a_line_a_target_and_gives_programs_every_figure(folder, answers, tmp_path, capsys):
    prediction = predict(answers)
    asked = [write(tmp_path / "a.csv", answers, prediction), "--challenge", str(folder)]
    assert score_program.main(asked) == 0
    shown = capsys.readouterr().out.split("each target, private")[1]
    scored = score_with_intervals(answers, prediction)
    for name in ("dev", "hk"):
        low, high = scored.targets[name]["intervals"]["private"]["pearson"]
        value = scored.targets[name]["scores"]["private"]["pearson"]
        assert f"{name} {value:.4f} {low:.4f} to {high:.4f}" in " ".join(shown.split())
    assert score_program.main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["targets"] == json.loads(json.dumps(scored.targets))


def test_compare_says_on_how_many_targets_each_is_better(folder, answers, tmp_path, capsys):
    a = write(tmp_path / "a.csv", answers, answers.truth + [[0.1, 0]] + predict(answers) * [0, 3])
    b = write(tmp_path / "b.csv", answers, predict(answers))
    assert compare_program.main([a, b, "--challenge", str(folder), "--usage", "private"]) == 0
    shown = capsys.readouterr().out
    assert (
        "pearson, target by target: A is better on 2 of 2 and B on 0; chance alone gives about 0.1" in shown
    )


def test_private_answers_that_score_one_target_alone_count_as_an_evaluation(tmp_path, capsys):
    answers = build(tmp_path / "toy", ("private", "public"), SCORES[:1])
    file = write(tmp_path / "a.csv", answers, predict(answers))
    assert score_program.main([file, "--challenge", str(tmp_path / "toy")]) == 0
    assert "each target, private" in capsys.readouterr().out
    assert len((tmp_path / "toy" / "private" / "evaluations.log").read_text().splitlines()) == 1
