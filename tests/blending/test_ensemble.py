"""A blend is chosen by out-of-fold predictions alone, and scored by rows that did not choose its weights."""

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import nnls

from competition import run as program
from competition import submission
from competition.base.errors import InputError
from competition.base.files import file_digest
from competition.blending import nested
from competition.blending.blend import (
    METHODS,
    Line,
    correlation,
    error_correlation,
    hill_climb,
    least_squares,
    mean_weights,
    nested_lines,
    of_size,
)
from competition.blending.members import Members, choose_files
from competition.blending.moments import _chunks, gather, with_rank_mean
from competition.blending.nested import NestedScorer, choose
from competition.board.board import read_board
from competition.data.challenge import open_challenge
from competition.data.declaration import Declaration, Score, Target
from competition.data.writer import create_challenge
from competition.ensemble import main
from competition.judging.bootstrap import draw_counts, resample
from competition.judging.manifest import Manifest, declare, read_manifest, update_manifest
from competition.judging.submission import prepare_submission, write_submission
from competition.metrics.registry import METRICS

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


def columns_of(members: Members):
    return with_rank_mean(members.oof)


def moments(members: Members):
    return gather(columns_of(members), members.truth, members.fold, members.group)


def compare(members: Members, metric: str):
    return nested.compare_blends(metric, columns_of(members), members.truth, members.fold, members.group)


def covariance(members: Members):
    return moments(members).sums().covariance()


def by_name(members: Members, metric: str = "pearson"):
    comparison = compare(members, metric)
    return comparison, {blend.method: blend for blend in comparison.blends}


def test_sums_are_those_of_the_rows_whatever_the_chunks():
    members = sample(0.5, 1, 2)
    rows = members.fold != 2
    table = np.concatenate([columns_of(members), members.truth[None]])[:, rows, 0]
    sums = moments(members).sums(without=2)
    assert sums.count == rows.sum()
    np.testing.assert_allclose(sums.covariance(), np.cov(table, bias=True), atol=1e-12)
    np.testing.assert_allclose(sums.mean() + moments(members).middle, table.mean(1)[None], atol=1e-12)


def test_targets_are_each_taken_around_their_own_mean():
    members = sample(0.5, 1)
    two = members._replace(
        oof=np.concatenate([members.oof, members.oof + 9], axis=2),
        truth=np.concatenate([members.truth, members.truth + 5], axis=1),
    )
    np.testing.assert_allclose(covariance(two), 2 * covariance(members), atol=1e-10)


def test_rows_of_a_group_share_a_chunk():
    rng = np.random.default_rng(0)
    group = rng.integers(0, 5000, 20_000)
    chunk = _chunks(group % 4, group)
    assert 950 < len(np.unique(chunk)) <= 1000
    pairs = np.unique(np.stack([group, chunk]), axis=1)
    assert pairs.shape[1] == len(np.unique(group))


def test_a_blend_scores_by_moments_what_it_scores_by_rows():
    members, weights = sample(0.5, 1, 2), np.array([0.6, 0.3, 0.1, 0])
    blend = np.tensordot(weights[:3], members.oof, 1)[:, 0]
    wanted = np.corrcoef(blend, members.truth[:, 0])[0, 1]
    assert correlation(covariance(members), weights) == pytest.approx(wanted)


@pytest.mark.parametrize("metric", [name for name, each in METRICS.items() if each.of_sums])
@pytest.mark.parametrize("method", METHODS)
def test_nested_scores_by_moments_are_those_of_the_rows(metric, method):
    members = sample(0.5, 1, 2)
    members = members._replace(truth=3 * members.truth + 100)
    scorer = NestedScorer(metric, columns_of(members), members.truth, members.fold)
    lines = nested_lines(scorer.moments, METHODS[method])
    wanted = score(metric, members.truth, scorer.predict(lines))
    assert scorer(lines).value == pytest.approx(wanted, abs=1e-10)


@pytest.mark.parametrize(("unit", "middle"), [(1e-20, 100), (1e-50, 0), (1.0, 1e9)])
def test_a_member_of_a_blend_is_scored_as_it_is_scored_whatever_its_unit_and_middle(unit, middle):
    members = sample(1e9, 1)
    truth, oof = members.truth + 100, np.stack([members.oof[0] * unit, members.oof[1] + middle])
    scorer = NestedScorer("pearson", with_rank_mean(oof), truth, members.fold)
    for number in range(2):
        alone = scorer([Line(np.eye(3)[number], np.zeros(1))] * 4)
        assert alone.value == pytest.approx(score("pearson", truth, oof[number]), abs=1e-7)
        assert alone.draws.std() == pytest.approx(0.04, rel=0.6)


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_a_member_far_from_the_unit_of_the_target_is_refused(unit):
    members = sample(1, 1)
    with pytest.raises(InputError, match=r"member 2 is up to .* from its mean; wanted 1e-60 to 1e\+60"):
        compare(members._replace(oof=members.oof * np.array([1, unit])[:, None, None]), "pearson")
    with pytest.raises(InputError, match="the truth is up to"):
        compare(members._replace(truth=members.truth * unit), "pearson")


def score(metric: str, truth: np.ndarray, prediction: np.ndarray) -> float:
    return METRICS[metric].function(truth, prediction)


@pytest.mark.parametrize("metric", ["pearson", "mse"])
def test_resamples_of_chunks_are_as_wide_as_those_of_rows(metric):
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(8000, 1))
    oof = np.stack([truth + noise * rng.normal(size=truth.shape) for noise in (0.5, 0.8)])
    members = sample(1, 1)._replace(oof=oof, truth=truth, fold=rng.integers(0, 4, 8000))
    scorer = NestedScorer(metric, columns_of(members), truth, members.fold)
    chunked = scorer(nested_lines(scorer.moments, METHODS["mean"])).draws
    by_rows = resample(metric, truth, [oof.mean(0)], draw_counts(8000))[0]
    assert chunked.std() == pytest.approx(by_rows.std(), rel=0.12)


def test_a_metric_of_ranks_is_scored_by_the_rows():
    members = sample(0.5, 1)
    _, found = by_name(members, "spearman")
    nested = found["mean"].nested
    assert nested.value == pytest.approx(score("spearman", members.truth, members.oof.mean(0)))
    assert nested.draws.std() > 0


def test_least_squares_are_those_of_the_rows():
    members = sample(0.5, 1, 2)
    x, y = members.oof[:, :, 0].T, members.truth[:, 0]
    wanted, _ = nnls(x - x.mean(0), y - y.mean())
    np.testing.assert_allclose(least_squares(covariance(members))[:3], wanted, atol=1e-8)


def test_hill_climbing_takes_the_steps_of_brute_force():
    members = sample(0.7, 0.8, 0.9, 3.0)
    total, counts, best = covariance(members), np.zeros(5), -np.inf
    while counts.sum() < 100:
        scores = [correlation(total, counts + np.eye(5)[number]) for number in range(4)]
        if max(scores) < best + 1e-6:
            break
        best = max(scores)
        counts[int(np.argmax(scores))] += 1
    weights = hill_climb(total)
    np.testing.assert_allclose(weights / weights.sum(), counts / counts.sum())
    assert weights @ total[:-1, :-1] @ weights == pytest.approx(weights @ total[:-1, -1])  # least error


def test_a_growing_blend_adds_what_helps_the_mean_most_and_weighs_by_least_squares():
    members = sample(0.7, 0.8, 0.9, 3.0)
    total, taken = covariance(members), []
    for size in range(1, 5):
        left = [number for number in range(4) if number not in taken]
        taken.append(max(left, key=lambda one: correlation(total, np.eye(5)[[*taken, one]].sum(0))))
        alone = least_squares(covariance(members._replace(oof=members.oof[taken])))
        np.testing.assert_allclose(of_size(size, least_squares, total)[taken], alone[:-1])
        np.testing.assert_allclose(of_size(size, mean_weights, total), np.eye(5)[taken].mean(0))


@pytest.mark.parametrize("method", METHODS)
def test_weights_of_a_fold_do_not_depend_on_its_own_rows(method):
    members = sample(0.5, 1, 2)
    spoilt = columns_of(members)
    spoilt[0, members.fold == 2] *= -1
    honest, other = (
        nested_lines(gather(each, members.truth, members.fold), METHODS[method])
        for each in (columns_of(members), spoilt)
    )
    np.testing.assert_allclose(honest[2].weights, other[2].weights, atol=1e-9)
    np.testing.assert_allclose(honest[2].shift, other[2].shift, atol=1e-9)
    assert "mean" in method or not np.allclose(honest[1].weights, other[1].weights)


def test_independent_errors_average_out_and_the_gain_is_significant():
    comparison, found = by_name(sample(1, 1, 1))
    assert comparison.gain(comparison.best_single, found["mean"].nested).low > 0.05
    assert found["mean"].in_sample == pytest.approx(found["mean"].nested.value)


def test_where_nothing_beats_the_plain_mean_it_is_taken():
    assert choose(compare(sample(1, 1, 1), "pearson"), "auto").method == "mean"


def test_members_of_noise_are_weighted_away():
    comparison = compare(sample(0.5, 8, 8, 8), "pearson")
    chosen = choose(comparison, "auto")
    assert chosen.method != "mean" and chosen.line.weights[0] > 0.9 * chosen.line.weights.sum()
    assert abs(comparison.gain(comparison.best_single, chosen.nested).value) < 0.01


def test_a_subset_is_taken_where_it_is_the_best_that_significantly_beats_the_plain_mean():
    comparison = compare(sample(0.6, 0.6, *[8.0] * 30), "pearson")
    chosen = choose(comparison, "auto")
    plain, every = comparison.blends[0].nested, (*comparison.blends, *comparison.growing)
    significant = [blend for blend in every if comparison.gain(plain, blend.nested).low > 0]
    assert chosen.nested.value == max(blend.nested.value for blend in significant)
    assert any(chosen is blend for blend in comparison.growing)


def test_the_smallest_blend_leaves_out_what_brings_nothing():
    assert compare(sample(0.5, 8, 8, 8), "pearson").smallest.method == "mean of 1"
    twins = sample(1.0, 1.0, seed=5)
    both = np.concatenate([twins.oof, twins.oof + 1e-3])
    comparison = compare(twins._replace(oof=both), "pearson")
    assert comparison.smallest.method == "mean of 2" and choose(comparison, "smallest") == comparison.smallest


def test_members_that_are_wrong_throughout_are_still_blended():
    members = sample(0.5, 0.8)
    comparison, found = by_name(members._replace(oof=-members.oof))
    assert all(np.isfinite(blend.nested.draws).all() for blend in found.values())
    assert comparison.best.nested.value < 0


def test_hill_climbing_minds_the_unit_where_errors_are_scored():
    members = sample(0.5, 0.8)
    _, found = by_name(members._replace(oof=3 * members.oof + 7), "mse")
    assert found["hill climbing"].nested.value < 0.3 < found["mean"].nested.value


def test_ranks_save_a_mean_from_a_member_that_shouts():
    members = sample(0.5, 0.5)
    loud = members.oof.copy()
    loud[1, ::50] *= 1000
    _, found = by_name(members._replace(oof=loud))
    assert found["rank mean"].nested.value > found["mean"].nested.value + 0.3
    _, found = by_name(members._replace(oof=loud, truth=10 * members.truth + 50), "mse")
    assert found["rank mean"].nested.value < 30


def test_of_many_members_of_noise_the_gain_is_an_illusion_that_nested_folds_see():
    rng = np.random.default_rng(1)
    members = sample(*[10.0] * 40)._replace(truth=rng.normal(size=(NUM_ROWS, 1)))
    _, found = by_name(members)
    assert found["least squares"].in_sample > found["least squares"].nested.value + 0.05


def test_errors_that_are_shared_are_seen():
    assert error_correlation(moments(sample(0.1, 0.1, shared=1.0)))[0, 1] > 0.9
    assert abs(error_correlation(moments(sample(1.0, 1.0)))[0, 1]) < 0.15


def test_least_squares_come_back_in_the_unit_of_the_target():
    members = sample(1.0, 1.0)
    shifted = members._replace(truth=members.truth * 3 + 100)
    _, found = by_name(shifted, "mse")
    assert found["least squares"].nested.value < 0.7 * shifted.truth.var()


def test_equal_predictions_are_left_as_they_are():
    members = sample(1.0, 1.0)._replace(oof=np.stack([sample(1.0).oof[0]] * 2))
    line = compare(members, "pearson").blends[0].line
    np.testing.assert_allclose(line(columns_of(members)), members.oof[0])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two runs, each knowing half of what makes the target, on a challenge that allows ensembles."""
    return make_home(tmp_path, ensembles=True)


def make_home(home: Path, *, ensembles: bool) -> Path:
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 4, (500, 40)).astype(np.uint8)
    target = (tokens == 1).mean(1) - (tokens == 2).mean(1) + 0.02 * rng.normal(size=500)
    scores = (Score.of("pearson", "r"),)
    with create_challenge(
        home / "data/toy", Declaration("toy", (Target("y"),), scores, ensembles=ensembles)
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
    for member in (home / "submissions/toy").glob("letter*.json"):
        update_manifest(member, warnings=["9 rows leak"])
    assert main(["toy", *folders(home)]) == 0
    (path,) = (home / "submissions/toy").glob("ensemble-*.json")
    manifest, single = (
        read_manifest(path),
        json.loads(next((home / "submissions/toy").glob("letter1*.json")).read_text()),
    )
    assert manifest.kind == "ensemble" and len(manifest.config["members"]) == 2
    assert manifest.scores["private"]["r"] > single["scores"]["private"]["r"] + 0.1
    assert manifest.oof["pearson"] > single["oof"]["pearson"] + 0.1
    assert "| ensemble † |" in (home / "submissions/LEADERBOARD.md").read_text()
    assert manifest.warnings == ["9 rows leak"]
    shown = capsys.readouterr().out
    assert "correlation of errors" in shown and "smallest within noise of the best" in shown


@pytest.mark.parametrize(("direction", "order"), [("maximize", "dba"), ("minimize", "abd")])
def test_members_are_the_best_out_of_fold_whatever_they_score_on_the_test_rows(
    toy_challenge, tmp_path, direction, order
):
    score = Score("main", "pearson" if direction == "maximize" else "mse", direction, -1, 1)
    opened, rng = open_challenge(toy_challenge(tmp_path / "data/toy")), np.random.default_rng(0)
    opened = opened._replace(declaration=replace(opened.declaration, scores=(score,)))
    made = {  # name -> out of fold, private
        "a": (0.5, 0.9), "b": (0.6, 0.2), "d": (0.6 + 1e-9, None),
        "blend": (0.7, 0.9), "old": (0.7, 0.9), "collapsed": (0.7, 0.9), "none": (None, 0.9),
    }  # fmt: skip
    for name, (oof, private) in made.items():
        manifest = Manifest(
            "toy", opened.digest, name, "run", "2030-01-01T00:00:00+00:00",
            train_digest="before" if name == "old" else opened.declaration.train_digest,
            kind="ensemble" if name == "blend" else "solution", declared=declare(opened.declaration),
            oof={} if oof is None else {score.metric: oof}, collapsed="flat" if name == "collapsed" else None,
            scores={} if private is None else {"private": {"main": private}},
        )  # fmt: skip
        path, ids = tmp_path / f"submissions/toy/{name}-run.csv", opened.test.rows["id"]
        values = rng.normal(size=(len(ids), 1))
        write_submission(prepare_submission(path, ids, values, ["expression"], manifest))
    chosen = choose_files(opened, tmp_path / "submissions", [], 3)
    assert [path.name for path in chosen] == [f"{name}-run.csv" for name in order]
    assert choose_files(opened, tmp_path / "submissions", [], 1) == chosen[:1]
    assert choose_files(opened, tmp_path / "submissions", [Path("x.csv")], 1) == [Path("x.csv")]


def blend(home: Path, *options: str) -> Path:
    """Make an ensemble and return its one submission."""
    assert main(["toy", *options, *folders(home)]) == 0
    (path,) = (home / "submissions/toy").glob("ensemble-*.csv")
    return path


def verify(home: Path, path: Path) -> int:
    return submission.main(["verify", str(path), *folders(home)[:2]])


def test_the_manifest_names_the_command_and_the_members_by_what_was_in_them(home):
    manifest = read_manifest(blend(home, "--take", "rank mean").with_suffix(".json"))
    members = sorted((home / "submissions/toy").glob("letter*.csv"))
    assert manifest.config["method"] == "rank mean" and manifest.config["rank_mean_weight"] > 0
    assert [each["csv_sha256"] for each in manifest.config["members"]] == list(map(file_digest, members))
    assert [each["weight"] for each in manifest.config["members"]] == [0, 0]
    assert manifest.command.endswith(shlex.join(sys.argv[1:])) and manifest.scores["private"]["r"] > 0.5


@pytest.mark.parametrize("method", ["mean", "rank mean", "least squares"])
def test_an_ensemble_is_verified_by_way_of_its_members(home, capsys, method):
    path = blend(home, "--take", method)
    assert verify(home, path) == 0
    said = capsys.readouterr().out
    assert said.count("agrees with its weights") == 2
    assert f"{path.name} agrees with the blend of its 2 members" in said


def test_an_ensemble_of_other_weights_is_found_out(home, capsys):
    path = blend(home, "--take", "least squares")
    config = read_manifest(path.with_suffix(".json")).config
    config["members"][0]["weight"] *= 1.1
    update_manifest(path, config=config)
    assert verify(home, path) == 1
    assert f"{path.name} DIFFERS from the blend" in capsys.readouterr().out


def test_a_member_that_is_another_file_or_has_other_weights_is_found_out(home, capsys):
    path = blend(home)
    member, other = sorted((home / "submissions/toy").glob("letter*.csv"))
    weights = next((home / "runs/toy/letter2").glob("*/fold1/weights.safetensors"))
    kept = weights.read_bytes()
    weights.write_bytes(kept + b" ")
    assert verify(home, path) == 2
    assert f"{weights} is not the file" in capsys.readouterr().err
    weights.write_bytes(kept)
    member.write_bytes(other.read_bytes())
    assert verify(home, path) == 2
    assert "is not the member that" in capsys.readouterr().err
    member.unlink()
    assert verify(home, path) == 2
    assert f"wanted every member of {path.name}" in capsys.readouterr().err


def test_a_manifest_that_does_not_say_how_it_was_blended_cannot_be_verified(home, capsys):
    path = blend(home)
    update_manifest(path, config={"method": "mean", "members": {"letter1": 0.5, "letter2": 0.5}})
    assert verify(home, path) == 2
    assert "blend them again: python -m competition.ensemble" in capsys.readouterr().err


def test_the_same_predictions_are_not_submitted_a_second_time(home, capsys):
    path = blend(home, "--take", "mean")
    members = sorted(map(str, (home / "submissions/toy").glob("letter*.csv")), reverse=True)
    assert blend(home, "--take", "mean", "--members", *members) == path
    assert f"{path} holds the same predictions already" in capsys.readouterr().out
    assert len(read_board(home / "submissions/toy").rows) == 3


def test_the_test_scores_are_shown_with_their_intervals(home, capsys):
    path = blend(home)
    manifest = read_manifest(path.with_suffix(".json"))
    low, high = manifest.intervals["private"]["r"]
    said = capsys.readouterr().out
    assert f"{manifest.scores['private']['r']:.6f} ({low:.4f} to {high:.4f})" in said


def test_an_edited_title_keeps_no_submission_from_the_blend_or_the_board(home):
    declaration = home / "data/toy/public/challenge.toml"
    declaration.write_text('title = "edited"\n' + declaration.read_text())
    assert main(["toy", *folders(home)]) == 0
    board = read_board(home / "submissions/toy")
    assert len({row.manifest.challenge_digest for row in board.rows}) == 2
    assert len(board.rows) == 3 and all(row.tier for row in board.rows)


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
    (oof,) = (home / "runs/toy/letter2").glob("*/oof.csv")
    pd.read_csv(oof).assign(y=0.5).to_csv(oof, index=False)
    assert main(["toy", "--members", str(one), str(two), *folders(home)]) == 2
    assert "out-of-fold predictions do not vary" in capsys.readouterr().err


def test_a_challenge_that_forbids_ensembles_gets_none(tmp_path, capsys):
    home = make_home(tmp_path, ensembles=False)
    assert main(["toy", *folders(home)]) == 2
    assert "forbids ensembles" in capsys.readouterr().err
