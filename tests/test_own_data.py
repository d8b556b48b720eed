"""Rows with folds of their own and sequences of any length: a run takes both as they are, and says so."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from competition import audit, run, submission
from competition.data.declaration import Declaration, InputSequence, Score, Target
from competition.data.writer import create_challenge

SOLUTION = """
from dataclasses import dataclass
import torch
from torch import nn

@dataclass(frozen=True)
class Config:
    challenge: str = "toy"
    window: tuple[int, int] | None = None
    epochs: int = 1

class Model(nn.Module):
    def __init__(self, config, shapes):
        super().__init__()
        channels, width = shapes.inputs["sequence"]
        self.linear = nn.Linear(channels * width, len(shapes.targets))

    def forward(self, sequence):
        return self.linear(sequence.flatten(1))
"""
LENGTHS = {"train": 23, "test": 31}  # the longest sequence is in the test set


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Rows in three folds of their own, and a linear model of every base there is."""
    declared = Declaration(
        "toy",
        (Target("y"),),
        (Score.of("mse"),),
        sequences=(InputSequence(origin=3, right_flank="ACGTACGT"),),
    )
    rng = np.random.default_rng(0)
    with create_challenge(tmp_path / "data" / "toy", declared) as writer:
        for part, length in LENGTHS.items():
            tokens = rng.integers(0, 4, (60, length)).astype(np.uint8)
            target = {"target": tokens.mean(1), "rows": {"id": range(60), "fold": list("abc") * 20}}
            getattr(writer, part).append(tokens, np.full(60, length), **(target if part == "train" else {}))
        ids = [str(i) for i in range(60)]
        writer.write_answers(pd.DataFrame({"id": ids, "y": tokens.mean(1), "usage": "private"}))
    (tmp_path / "linear").mkdir()
    (tmp_path / "linear" / "solution.py").write_text(SOLUTION)
    return tmp_path


def train(home: Path, run_id: str, *more: str) -> int:
    folders = [f"--{name}={home / name}" for name in ("data", "runs", "submissions")]
    return run.main([str(home / "linear"), "--no-check", "--device=cpu", "--run-id", run_id, *folders, *more])


def record(home: Path, run_id: str) -> dict:
    return json.loads((home / "runs/toy/linear" / run_id / "run.json").read_text())


def test_the_whole_of_the_longest_sequence_is_read_recorded_and_verified(home, capsys):
    assert train(home, "whole") == 0
    assert "rows lose" not in capsys.readouterr().out
    assert record(home, "whole")["window"] == {"sequence": [-3, 28]}
    folders = [f"--{name}={home / name}" for name in ("data", "runs")]
    assert submission.main(["verify", str(home / "submissions/toy/linear-whole.csv"), *folders]) == 0


def test_a_window_that_cuts_is_told(home, capsys):
    assert train(home, "cut", "--set", "window=0,20") == 0
    assert (
        "warning    window [0, 20) of sequence: 120 of 120 rows lose 3 bases at the left end and up to 8 "
        "bases at the right end; --set window=[-3,28] reads all\n"
    ) in capsys.readouterr().out


def test_a_run_of_another_window_is_not_resumed(home, capsys):
    assert train(home, "one") == 0
    path = home / "runs/toy/linear/one/run.json"
    path.write_text(json.dumps(record(home, "one") | {"window": {"sequence": [0, 112]}}))
    (home / "runs/toy/linear/one/finished.json").unlink()
    assert train(home, "unused", "--resume", "one") == 2
    assert "another window: sequence [0, 112] then, [-3, 28] now" in capsys.readouterr().err


def test_a_run_takes_the_declared_folds_unless_they_are_to_be_ignored(home, capsys):
    assert train(home, "declared") == 0
    assert "60 training rows in 3 declared folds, 60 test rows" in capsys.readouterr().out
    assert train(home, "other", "--folds", "4") == 2
    assert "--folds 4: the rows declare 3 folds (a, b, c); wanted --folds 3" in capsys.readouterr().err
    assert train(home, "ignored", "--ignore-folds") == 0
    assert "60 training rows in 4 folds (the 3 declared ones are ignored), 60" in capsys.readouterr().out
    declared, ignored = record(home, "declared"), record(home, "ignored")
    assert [each["num_folds"] for each in (declared, ignored)] == [3, 4]
    assert declared["fold_digest"] != ignored["fold_digest"]


def test_the_folds_of_a_run_that_others_start_from_are_those_it_had(home, capsys):
    for options in ((), ("--ignore-folds", "--folds", "3")):
        before = f"before{len(options)}"
        assert train(home, before, *options) == 0
        init = ("--init", str(home / "runs/toy/linear" / before), *options)
        assert train(home, f"after{len(options)}", *init) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "3 declared folds of 20 to 20 rows"),
        (["--ignore-folds", "--folds", "2"], "2 folds (the 3 declared ones are ignored) of "),
    ],
)
def test_an_audit_says_which_folds_it_looked_at(home, capsys, options, words):
    assert audit.main([str(home / "data" / "toy"), "--json", *options]) in (0, 1)
    found = {each["check"]: each for each in json.loads(capsys.readouterr().out)}
    assert words in found["fold sizes"]["text"]
    assert ("barcodes of declared folds" in found) == (options == [])


def test_an_audit_of_other_folds_than_declared_names_both(home, capsys):
    assert audit.main([str(home / "data" / "toy"), "--folds", "4"]) == 2
    assert "the rows declare 3 folds (a, b, c); wanted --folds 3, or --ignore-f" in capsys.readouterr().err
