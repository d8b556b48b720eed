"""A run says what the audit would: how many rows have homologous ones where they should have none."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from competition.data import leaks
from competition.data.challenge import Challenge, open_challenge
from competition.data.declaration import Declaration, Score, Target
from competition.data.folds import fold_table
from competition.data.tokens import reverse_complement
from competition.data.writer import create_challenge
from competition.training.processes import make_accelerator
from competition.tuning.task import load_tunable, prepare

SCORES = (Score.of("pearson"),)


def random_tokens(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (count, 80)).astype(np.uint8)


def build(
    folder: Path, train: np.ndarray, test: Sequence = (), *, fold: list[str] | None = None, **declared
) -> Challenge:
    with create_challenge(folder, Declaration("toy", (Target("y"),), SCORES, **declared)) as writer:
        rows = {"id": [f"r{i}" for i in range(len(train))]} | ({"fold": fold} if fold else {})
        writer.train.append(train, np.full(len(train), 80), target=np.zeros(len(train)), rows=rows)
        if len(test):
            writer.test.append(test, np.full(len(test), 80))
            answers = {"id": [str(i) for i in range(len(test))], "y": 0.0, "usage": "private"}
            writer.write_answers(pd.DataFrame(answers))
    return open_challenge(folder)


def leaks_of(opened: Challenge) -> list[str]:
    return leaks.leaks(opened, fold_table(opened.train, opened.declaration, 4))


def with_copies(count: int) -> np.ndarray:
    """Test rows of which some are training rows with a substitution, on the other strand."""
    test, copies = random_tokens(50, seed=1), random_tokens(count)
    copies[:, 40] = (copies[:, 40] + 1) % 4
    test[:count] = reverse_complement(copies)
    return test


@pytest.mark.parametrize("declared", [{}, {"fold": list("abcd" * 50)}])
def test_nothing_is_said_where_nothing_leaks(tmp_path, declared):
    assert leaks_of(build(tmp_path / "toy", random_tokens(200), random_tokens(50, seed=1), **declared)) == []


def test_test_rows_with_homologous_training_rows_are_counted(tmp_path):
    [line] = leaks_of(build(tmp_path / "toy", random_tokens(200), with_copies(3)))
    assert line.startswith("3 of 50 test rows share a homology cluster with rows in training")
    assert line.endswith("see python -m competition.audit toy")


def test_declared_folds_that_split_homologous_rows_are_told_and_folds_of_a_run_do_not(tmp_path):
    train = random_tokens(200)
    train[9, :60] = train[4, 20:]
    [line] = leaks_of(build(tmp_path / "toy", train, fold=list("abcd" * 50)))
    assert line.startswith(
        "2 of 200 training rows share a homology cluster with rows in another declared fold"
    )
    assert leaks_of(build(tmp_path / "other", train)) == []


def test_a_challenge_may_declare_that_near_duplicates_are_apart(tmp_path):
    assert leaks_of(build(tmp_path / "toy", random_tokens(200), with_copies(3), near_duplicates=False)) == []


def test_a_large_challenge_is_searched_once(tmp_path, monkeypatch):
    monkeypatch.setattr(leaks, "CACHED_ROWS", 10)
    opened = build(tmp_path / "toy", random_tokens(200), with_copies(3))
    first = leaks_of(opened)
    monkeypatch.setattr(leaks, "row_clusters", lambda *_: pytest.fail("it was to be read back"))
    assert leaks_of(opened) == first != []
    [file] = [path for path in (opened.folder / "cache").iterdir() if path.name.startswith("test-")]
    file.write_bytes(b"damaged")
    monkeypatch.undo()
    assert leaks_of(opened) == first


SOLUTION = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Config:
    challenge: str = "toy"

    def search(self, trial):
        return self

class Estimator:
    pass
"""


def test_tuning_says_it_too(tmp_path, capsys):
    build(tmp_path / "data" / "toy", random_tokens(1).repeat(200, axis=0), fold=list("abcde" * 40))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "solution.py").write_text(SOLUTION)
    folders = {"data": tmp_path / "data", "runs": tmp_path / "runs"}
    solution, accelerator = load_tunable(tmp_path / "mine"), make_accelerator("cpu", "no")
    prepare(solution, accelerator, num_folds=4, seed=0, settings=[], **folders)
    assert "warning    200 of 200 training rows share" in capsys.readouterr().out
