"""A submission is scored before it is written: its manifest is complete from the first."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from competition.base.errors import InputError
from competition.board.submit import submit, submit_again
from competition.data.challenge import Challenge, open_challenge
from competition.judging.manifest import new_manifest, read_manifest

NUM_ROWS = 40


@pytest.fixture
def toy(toy_challenge, tmp_path: Path) -> Challenge:
    return open_challenge(toy_challenge(tmp_path / "data" / "toy", num_test=NUM_ROWS))


def predict(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(NUM_ROWS, 1))


def test_the_scores_that_a_submission_is_written_with_are_those_of_its_file(toy, tmp_path):
    manifest = new_manifest(toy, solution="small", run="one")
    first = submit(tmp_path, toy, predict(), manifest)
    assert first.path == tmp_path / "toy" / "small-one.csv"
    assert first.manifest == read_manifest(first.path.with_suffix(".json"))
    assert set(first.manifest.scores) == {"public", "private", "all"}
    assert submit_again(first.path, toy).manifest == first.manifest


def test_nothing_is_written_where_scoring_fails(toy, tmp_path):
    with (toy.folder / "private" / "answers.csv").open("a") as file:
        file.write("\n")
    with pytest.raises(InputError, match="changed since the challenge was built"):
        submit(tmp_path / "submissions", toy, predict(), new_manifest(toy, solution="small", run="one"))
    assert not (tmp_path / "submissions").exists()


def test_other_predictions_under_a_name_that_is_taken_are_no_private_evaluation(toy, tmp_path):
    manifest = new_manifest(toy, solution="small", run="one")
    submit(tmp_path, toy, predict(), manifest)
    with pytest.raises(InputError, match="exists already with other predictions"):
        submit(tmp_path, toy, predict(1), manifest)
    other = submit(tmp_path, toy, predict(1), replace(manifest, run="two"))
    assert other.manifest.private_evaluations == 2


def test_collapsed_predictions_are_written_without_scores(toy, tmp_path):
    manifest = new_manifest(toy, solution="flat", run="one")
    submitted = submit(tmp_path, toy, np.ones((NUM_ROWS, 1)), manifest)
    assert submitted.scored is None and submitted.path.exists()
    assert submitted.manifest.collapsed and not submitted.manifest.scores
