"""A blend is chosen by out-of-fold predictions alone, and judged by rows that did not choose its weights."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import nnls

from competition import run as program
from competition.data.challenge import Challenge, Score, Target, create_challenge
from competition.ensemble import Members, apply, blends, choose, main
from competition.judging.blend import (
    METHODS,
    correlation,
    error_correlation,
    gather,
    hill_climb,
    least_squares,
    nested_weights,
)
from competition.judging.manifest import Manifest, read_manifest

NUM_ROWS = 600
SOLUTION = """
from dataclasses import dataclass
import numpy as np

@dataclass(frozen=True)
class Config:
    challenge: str = "toy"
    window: tuple[int, int] = (0, 40)
    letter: int = {letter}

class Estimator:
    def __init__(self, config, challenge):
        self.letter = config.letter

    def features(self, inputs):
        share = (inputs["sequence"] == self.letter).mean(1, keepdims=True)
        return np.concatenate([share, np.ones_like(share)], axis=1)

    def fit(self, inputs, target):
        self.weight = np.linalg.lstsq(self.features(inputs), target, rcond=None)[0]

    def predict(self, inputs):
        return self.features(inputs) @ self.weight

    def state_dict(self):
        return {{"weight": self.weight}}

    def load_state_dict(self, state):
        self.weight = state["weight"]
"""


def sample(*noises: float, seed: int = 0, shared: float = 0.0) -> Members:
    """Members with independent errors of these sizes, and one that they share."""
    rng = np.random.default_rng(seed)
    truth, common = rng.normal(size=(NUM_ROWS, 1)), rng.normal(size=(NUM_ROWS, 1))
    oof = np.stack([truth + noise * rng.normal(size=truth.shape) + shared * common for noise in noises])
    manifests = tuple(
        Manifest("toy", "d", f"m{i}", "run", "2030-01-01T00:00:00+00:00") for i in range(len(noises))
    )
    return Members(manifests, oof, oof[:, :50], truth, rng.integers(0, 4, NUM_ROWS))


def sums(members: Members):
    return gather(members.oof[:, :, 0], members.truth[:, 0], members.fold)


def test_a_blend_scores_by_moments_what_it_scores_by_rows():
    members, weights = sample(0.5, 1, 2), np.array([0.6, 0.3, 0.1])
    total = sum(sums(members)[1:], sums(members)[0])
    blend = np.tensordot(weights, members.oof, 1)[:, 0]
    assert correlation(total, weights) == pytest.approx(np.corrcoef(blend, members.truth[:, 0])[0, 1])


def test_least_squares_are_those_of_the_rows():
    members = sample(0.5, 1, 2)
    total = sum(sums(members)[1:], sums(members)[0])
    x, y = members.oof[:, :, 0].T, members.truth[:, 0]
    wanted, _ = nnls(x - x.mean(0), y - y.mean())
    np.testing.assert_allclose(least_squares(total), wanted, atol=1e-8)


def test_hill_climbing_takes_the_steps_of_brute_force():
    members = sample(0.7, 0.8, 0.9, 3.0)
    total, counts, best = sum(sums(members)[1:], sums(members)[0]), np.zeros(4), -np.inf
    while counts.sum() < 100:
        scores = [correlation(total, counts + np.eye(4)[number]) for number in range(4)]
        if max(scores) < best + 1e-6:
            break
        best = max(scores)
        counts[int(np.argmax(scores))] += 1
    np.testing.assert_allclose(hill_climb(total), counts / counts.sum())


@pytest.mark.parametrize("method", METHODS)
def test_weights_of_a_fold_do_not_depend_on_its_own_rows(method):
    members = sample(0.5, 1, 2)
    spoilt = members.oof.copy()
    spoilt[0, members.fold == 2] *= -1
    honest, other = (
        nested_weights(sums(each), METHODS[method]) for each in (members, members._replace(oof=spoilt))
    )
    np.testing.assert_allclose(honest[2], other[2], atol=1e-9)
    assert method == "mean" or not np.allclose(honest[1], other[1])


def test_independent_errors_average_out_and_the_gain_is_sure():
    found = {blend.method: blend for blend in blends(sample(1, 1, 1), "pearson")}
    assert found["mean"].over_best.low > 0.05
    assert found["mean"].in_sample == pytest.approx(found["mean"].nested)


def test_where_nothing_beats_the_plain_mean_it_is_taken():
    assert choose(blends(sample(1, 1, 1), "pearson")).method == "mean"


def test_members_of_noise_are_weighted_away():
    members = sample(0.5, 8, 8, 8)
    chosen = choose(blends(members, "pearson"))
    assert chosen.method != "mean" and chosen.weights[0] > 0.9 * chosen.weights.sum()
    assert abs(chosen.over_best.value) < 0.01


def test_of_many_members_of_noise_the_gain_is_an_illusion_that_nested_folds_see():
    rng = np.random.default_rng(1)
    members = sample(*[10.0] * 40)._replace(truth=rng.normal(size=(NUM_ROWS, 1)))
    found = {blend.method: blend for blend in blends(members, "pearson")}
    assert found["least squares"].in_sample > found["least squares"].nested + 0.05


def test_errors_that_are_shared_are_seen():
    matrix = error_correlation(sums(sample(0.1, 0.1, shared=1.0)))
    assert matrix[0, 1] > 0.9
    assert abs(error_correlation(sums(sample(1.0, 1.0)))[0, 1]) < 0.15


def test_least_squares_come_back_in_the_unit_of_the_target():
    members = sample(1.0, 1.0)
    shifted = members._replace(truth=members.truth * 3 + 100)
    found = {blend.method: blend for blend in blends(shifted, "mse")}
    assert found["least squares"].nested < 0.7 * shifted.truth.var()


def test_equal_predictions_are_left_as_they_are():
    members = sample(1.0, 2.0)
    weights = np.array([1.0, 0.0])
    np.testing.assert_allclose(apply(members, weights, members.test), members.test[0])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two runs, each knowing half of what makes the target, on a challenge that allows ensembles."""
    return make_home(tmp_path, ensembles=True)


def make_home(home: Path, *, ensembles: bool) -> Path:
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 4, (500, 40)).astype(np.uint8)
    target = (tokens == 1).mean(1) - (tokens == 2).mean(1) + 0.02 * rng.normal(size=500)
    scores = (Score("r", "pearson", "maximize", -1, 1),)
    with create_challenge(
        home / "data/toy", Challenge("toy", (Target("y"),), scores, ensembles=ensembles)
    ) as writer:
        writer.train.append(tokens[:400], np.full(400, 40), target=target[:400])
        writer.test.append(tokens[400:], np.full(100, 40))
        ids = [str(i) for i in range(100)]
        writer.write_answers(pd.DataFrame({"id": ids, "y": target[400:], "usage": "private"}))
    for letter in (1, 2):
        folder = home / f"letter{letter}"
        folder.mkdir()
        (folder / "solution.py").write_text(SOLUTION.format(letter=letter))
        assert program.main([str(folder), "--no-check", "--device", "cpu", *folders(home)]) == 0
    return home


def folders(home: Path) -> list[str]:
    return [f"--{name}={home / name}" for name in ("data", "runs", "submissions")]


def test_an_ensemble_is_a_submission_that_is_scored_and_stands_on_the_board(home, capsys):
    assert main(["toy", *folders(home)]) == 0
    (path,) = (home / "submissions/toy").glob("ensemble-*.json")
    manifest, single = (
        read_manifest(path),
        json.loads(next((home / "submissions/toy").glob("letter1*.json")).read_text()),
    )
    assert manifest.kind == "ensemble" and len(manifest.config["members"]) == 2
    assert manifest.scores["private"]["r"] > single["scores"]["private"]["r"] + 0.1
    assert manifest.oof["pearson"] > single["oof"]["pearson"] + 0.1
    assert "ensemble" in (home / "submissions/LEADERBOARD.md").read_text()
    assert "correlation of errors" in capsys.readouterr().out


def test_what_cannot_be_blended_is_refused(home, tmp_path, capsys):
    (one, two) = sorted((home / "submissions/toy").glob("*.csv"))
    assert main(["toy", "--members", str(one), *folders(home)]) == 2
    assert "wanted two or more" in capsys.readouterr().err
    assert main(["toy", "--runs", str(tmp_path / "elsewhere"), *folders(home)[::2]]) == 2
    assert "needs the out-of-fold predictions" in capsys.readouterr().err
    other = program.main(
        [str(home / "letter1"), "--no-check", "--folds", "3", "--run-id", "x", *folders(home)]
    )
    assert other == 0
    third = home / "submissions/toy/letter1-x.csv"
    assert main(["toy", "--members", str(two), str(third), *folders(home)]) == 2
    assert "another fold_digest" in capsys.readouterr().err


def test_a_challenge_that_forbids_ensembles_gets_none(tmp_path, capsys):
    home = make_home(tmp_path, ensembles=False)
    assert main(["toy", *folders(home)]) == 2
    assert "forbids ensembles" in capsys.readouterr().err
