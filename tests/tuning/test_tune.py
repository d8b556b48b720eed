"""Tuning searches on some rows and compares on a hold-out; killed or resumed it ends the same."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import pytest

from competition import tune as program
from competition.base.errors import InputError
from competition.data.declaration import Declaration, Score, Target
from competition.data.writer import create_challenge
from competition.judging.bootstrap import paired_gain
from competition.training.solution import configure, load_solution
from competition.training.tuned import read_tuned, write_tuned
from competition.tuning import task
from competition.tuning.space import DefaultTrial, draw

REPOSITORY = Path(__file__).parents[2]
# Counts of letters times a factor that is right at 1, so that the best trial is known.
SOLUTION = """
import time
from dataclasses import dataclass
import numpy as np

@dataclass(frozen=True)
class Config:
    challenge: str = "toy"
    window: tuple[int, int] = (0, 40)
    letter: int = 0
    power: float = 1.0
    other: str = "kept"
    slow: float = 0.0

    def __post_init__(self):
        if self.letter == 3:
            raise ValueError("letter 3; wanted 0 to 2")

    @classmethod
    def search(cls, trial):
        return cls(letter=trial.suggest_int("letter", 0, 3), power=trial.suggest_float("power", 0.5, 2))

class Estimator:
    def __init__(self, config, challenge):
        self.config = config

    def features(self, inputs):
        return (inputs["sequence"] == self.config.letter).mean(1, keepdims=True) ** self.config.power

    def fit(self, inputs, target):
        time.sleep(self.config.slow)
        x = np.concatenate([self.features(inputs), np.ones((len(target), 1))], axis=1)
        self.weight = np.linalg.lstsq(x, target, rcond=None)[0]

    def predict(self, inputs):
        x = self.features(inputs)
        return np.concatenate([x, np.ones_like(x)], axis=1) @ self.weight

    def state_dict(self):
        return {"weight": self.weight}

    def load_state_dict(self, state):
        self.weight = state["weight"]
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A toy challenge whose target is the share of C, and the toy solution."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 4, (300, 40)).astype(np.uint8)
    target = (tokens == 1).mean(1) + 0.02 * rng.normal(size=300)
    challenge = Declaration("toy", (Target("expression"),), (Score.of("pearson"),))
    with create_challenge(tmp_path / "data" / "toy", challenge) as writer:
        writer.train.append(tokens, np.full(300, 40), target=target)
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "solution.py").write_text(SOLUTION)
    return tmp_path


def arguments(home: Path, *more: str) -> list[str]:
    folders = [f"--data={home / 'data'}", f"--runs={home / 'runs'}"]
    return [str(home / "toy"), "--device", "cpu", *folders, *more]


def study_of(home: Path) -> optuna.Study:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    (journal,) = (home / "runs").rglob("journal.log")
    return optuna.load_study(study_name=None, storage=JournalStorage(JournalFileBackend(str(journal))))


def test_a_significant_gain_is_written_for_its_challenge_and_used_by_the_next_run(home):
    assert program.main(arguments(home, "--trials", "12")) == 0
    tuned = tomllib.loads((home / "toy" / "tuned.toml").read_text())["toy"]
    assert tuned["letter"] == 1
    assert "gain on the hold-out +" in tuned["_from"]
    solution = load_solution(home / "toy")
    assert configure(solution, 300, tuned_for="toy")[0].letter == 1
    assert configure(solution, 300, tuned_for="another")[0].letter == 0
    assert configure(solution, 300, tuned_for="toy", published=True)[0].letter == 0


def test_the_defaults_are_the_first_trial_and_a_failed_one_has_a_reason(home):
    program.main(arguments(home, "--trials", "12"))
    trials = study_of(home).trials
    assert trials[0].user_attrs["defaults"] and trials[0].params == {"letter": 0, "power": 1.0}
    failed = [trial for trial in trials if trial.state == optuna.trial.TrialState.FAIL]
    assert failed and all("wanted 0 to 2" in trial.user_attrs["reason"] for trial in failed)


def test_a_gain_that_is_not_significant_is_not_written(home, capsys):
    solution = home / "toy" / "solution.py"
    text = solution.read_text().replace("== self.config.letter", "== 1")
    solution.write_text(text.replace("** self.config.power", "** (1 + 1e-6 * self.config.power)"))
    assert program.main(arguments(home, "--trials", "6")) == 0
    assert "the interval includes zero" in capsys.readouterr().out
    assert not (home / "toy" / "tuned.toml").exists()


def test_trials_that_change_nothing_leave_the_defaults(home, capsys):
    assert program.main(arguments(home, "--trials", "4", "--set", "letter=1", "--set", "power=1")) == 0
    assert "no trial is better than the defaults" in capsys.readouterr().out
    assert not (home / "toy" / "tuned.toml").exists()


def test_a_search_in_two_parts_draws_what_one_in_one_part_draws(home):
    program.main(arguments(home, "--trials", "3"))
    program.main(arguments(home, "--trials", "6"))
    parts = [trial.params for trial in study_of(home).trials]
    shutil.rmtree(home / "runs")
    program.main(arguments(home, "--trials", "6"))
    assert [trial.params for trial in study_of(home).trials] == parts


def test_bad_trials_are_pruned_before_their_last_fold(home):
    program.main(arguments(home, "--trials", "20"))
    pruned = [t for t in study_of(home).trials if t.state == optuna.trial.TrialState.PRUNED]
    assert pruned and min(len(trial.intermediate_values) for trial in pruned) < 4


def test_the_search_never_sees_the_hold_out(home, monkeypatch):
    seen, real = [], task.run_fold

    def spy(job, fold):
        seen.append((fold, None if job.excluded is None else job.excluded.copy(), job.folds.fold))
        real(job, fold)

    monkeypatch.setattr(task, "run_fold", spy)
    program.main(arguments(home, "--trials", "5"))
    searched = [(excluded, folds) for fold, excluded, folds in seen if fold < 4]
    assert searched and all((excluded == (folds == 4)).all() for excluded, folds in searched)


def test_the_defaults_are_adapted_to_the_rows_that_a_trial_trains_on(home, monkeypatch):
    source = home / "toy" / "solution.py"
    adapt = "    def adapt(self, num_rows):\n        return replace(self, other=str(num_rows))\n"
    text = source.read_text().replace("    @classmethod\n", f"{adapt}\n    @classmethod\n")
    source.write_text(text.replace("import dataclass\n", "import dataclass, replace\n"))
    counts, real = [], task.run_fold

    def spy(job, fold):
        real(job, fold)
        record = json.loads((job.fold_folder(fold) / "fold.json").read_text())
        counts.append((record["train_rows"], int(job.config.other)))

    monkeypatch.setattr(task, "run_fold", spy)
    program.main(arguments(home, "--trials", "1"))
    assert len({told for _, told in counts}) == 1
    assert abs(np.mean([trained for trained, _ in counts]) - counts[0][1]) < 1


def test_going_on_adds_only_the_trials_that_are_missing(home):
    program.main(arguments(home, "--trials", "4"))
    before = [trial.values for trial in study_of(home).trials]
    program.main(arguments(home, "--trials", "7"))
    after = [trial.values for trial in study_of(home).trials]
    assert (len(before), len(after)) == (4, 7)
    assert after[:4] == before


def test_a_killed_trial_is_counted_and_run_again(home, capsys):
    slow = ("--trials", "4", "--set", "slow=0.3")
    command = [sys.executable, "-m", "competition.tune", *arguments(home, *slow)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("defaults"):
                break
        time.sleep(0.4)
        process.send_signal(signal.SIGKILL)
    running = [t.params for t in study_of(home).trials if t.state == optuna.trial.TrialState.RUNNING]
    assert len(running) == 1
    assert program.main(arguments(home, *slow)) == 0
    assert "1 killed" in capsys.readouterr().out
    assert [t.params for t in study_of(home).trials].count(running[0]) == 2


class Killed(BaseException):
    """Ends the process from inside a fold, as a signal that no code can catch."""


def test_a_search_that_was_killed_twice_ends_as_the_unbroken_one(home, monkeypatch, capsys):
    def outcome():
        tuned = (home / "toy" / "tuned.toml").read_text()
        trials = [t for t in study_of(home).trials if t.state.is_finished() and not killed(t)]
        return tuned, [(t.params, t.state, t.values, t.intermediate_values) for t in trials]

    def killed(trial):
        return trial.state == optuna.trial.TrialState.FAIL and "reason" not in trial.user_attrs

    source = home / "toy" / "solution.py"
    source.write_text(source.read_text().replace('"letter", 0, 3', '"letter", 0, 2'))  # none fails
    program.main(arguments(home, "--trials", "14"))
    whole, table = outcome(), capsys.readouterr().out.split("changes")[1].splitlines()[:-4]
    shutil.rmtree(home / "runs")
    (home / "toy" / "tuned.toml").unlink()
    real, calls = task.run_fold, []

    def fragile(job, fold):
        calls.append(fold)
        if len(calls) in (10, 26):
            raise Killed
        real(job, fold)

    monkeypatch.setattr(task, "run_fold", fragile)
    for _ in range(2):
        with pytest.raises(Killed):
            program.main(arguments(home, "--trials", "14"))
    program.main(arguments(home, "--trials", "14"))
    assert outcome() == whole
    printed = capsys.readouterr().out.split("changes")[1]
    assert printed.splitlines()[: len(table)] == table and "2 killed" in printed


def test_an_interrupted_search_names_the_same_command(home):
    command = ["-m", "competition.tune", *arguments(home, "--trials", "4", "--set", "slow=0.3")]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, *command], env=environment, **pipes) as process:
        while not process.stdout.readline().startswith("study"):
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate()
    assert process.returncode == 143
    assert errors.splitlines()[-1].endswith(f"; continue with: {shlex.join(['python', *command])}")


def test_two_tuners_cannot_share_a_study(home, capsys):
    from competition.training.runs import lock_folder

    program.main(arguments(home, "--trials", "1"))
    (folder,) = (home / "runs").rglob("tune-*")
    with lock_folder(folder):
        assert program.main(arguments(home, "--trials", "2")) == 2
    assert "another process" in capsys.readouterr().err


@pytest.mark.parametrize(
    "more", [("--trials", "0"), ("--folds", "1"), ("--set", "lettre=1"), ("--challenge", "nothing")]
)
def test_what_cannot_be_tuned_is_refused(home, more, capsys):
    assert program.main(arguments(home, *more)) == 2
    assert capsys.readouterr().err.startswith("error: ")


@dataclass(frozen=True)
class Adapted:
    """As a solution's Config, with a value that adapt changed."""

    rate: float = 1e-3
    depth: int = 4
    kind: str = "wide"
    epochs: int = 50

    @classmethod
    def search(cls, trial):
        return cls(
            rate=trial.suggest_float("rate", 1e-4, 1e-2, log=True),
            depth=trial.suggest_int("depth", 2, 8, step=2),
            kind=trial.suggest_categorical("kind", ["wide", "deep"]),
        )


def test_fields_that_are_not_drawn_keep_the_adapted_values():
    base = Adapted(epochs=5)
    config = draw(base, optuna.trial.FixedTrial({"rate": 1e-2, "depth": 8, "kind": "deep"}))
    assert config == Adapted(rate=1e-2, depth=8, kind="deep", epochs=5)


def test_of_the_defaults_the_study_records_those_that_could_have_been_drawn():
    defaults = DefaultTrial(Adapted(rate=0.5, depth=3))
    draw(Adapted(), defaults)
    assert defaults.params == {"kind": "wide"}


def test_other_challenges_keep_what_was_tuned_for_them(tmp_path):
    write_tuned(tmp_path, "first", {"window": (1, 2), "patience": None}, "a study")
    write_tuned(tmp_path, "second", {"rate": 0.5}, "another")
    assert read_tuned(tmp_path, "first") == {"window": [1, 2], "patience": "none"}
    assert read_tuned(tmp_path, "second") == {"rate": 0.5}
    assert read_tuned(tmp_path, "third") == {}


def test_a_value_of_no_challenge_is_refused(tmp_path):
    (tmp_path / "tuned.toml").write_text("rate = 0.5\n")
    with pytest.raises(InputError, match=r"wanted a table \[challenge\]"):
        read_tuned(tmp_path, "first")


def test_a_gain_is_significant_where_it_is_large_and_not_where_there_is_none():
    rng = np.random.default_rng(0)
    target, noise = rng.normal(size=(400, 1)), rng.normal(size=(400, 2))
    worse, better = target + 2 * noise[:, :1], target + noise[:, 1:]
    gain = paired_gain("pearson", target, worse, better, higher_is_better=True)
    assert 0 < gain.low < gain.value < gain.high
    none = paired_gain("pearson", target, worse, worse + 1e-9 * noise[:, 1:], higher_is_better=True)
    assert none.low <= 1e-6 and none.high >= -1e-6


def test_rows_of_a_group_are_resampled_together():
    rng = np.random.default_rng(0)
    target = np.repeat(rng.normal(size=(40, 1)), 10, axis=0)
    first, second = (
        target + np.repeat(rng.normal(size=(40, 1)), 10, axis=0),
        target + rng.normal(size=(400, 1)),
    )
    rows, groups = (
        paired_gain("pearson", target, first, second, higher_is_better=True, group=group)
        for group in (None, np.repeat(np.arange(40), 10))
    )
    assert groups.high - groups.low > 1.5 * (rows.high - rows.low)


def test_a_config_without_a_search_cannot_be_tuned(home):
    source = (home / "toy" / "solution.py").read_text().replace("def search", "def research")
    (home / "plain").mkdir()
    (home / "plain" / "solution.py").write_text(source)
    with pytest.raises(InputError, match="nothing to tune"):
        program.tune(program.parse([str(home / "plain"), *arguments(home)[1:]]))
    assert not (home / "runs").exists()


def test_the_identity_of_a_study_is_on_disk(home):
    program.main(arguments(home, "--trials", "1"))
    (path,) = (home / "runs").rglob("study.json")
    assert json.loads(path.read_text())["challenge"] == "toy"


def test_of_declared_folds_one_is_the_hold_out(home, capsys):
    challenge = Declaration("toy", (Target("expression"),), (Score("pearson", "pearson", "maximize", -1, 1),))
    tokens = np.random.default_rng(0).integers(0, 4, (200, 40)).astype(np.uint8)
    with create_challenge(home / "data" / "declared", challenge) as writer:
        rows = {"id": range(200), "fold": list("abcd") * 50}
        writer.train.append(tokens, np.full(200, 40), target=tokens.mean(1), rows=rows)
    of_declared = arguments(home, "--challenge", str(home / "data" / "declared"), "--trials", "1")
    assert program.main(of_declared) == 0
    assert "4 declared folds: 3 for the search, the last is the hold-out" in capsys.readouterr().out
    assert program.main([*of_declared, "--ignore-folds"]) == 0
    assert "5 folds (the 4 declared ones are ignored): 4 for the search" in capsys.readouterr().out
    assert program.main([*of_declared, "--folds", "4"]) == 2
    assert "declare 4 folds" in (error := capsys.readouterr().err) and "wanted --folds 3, or --ig" in error


@pytest.mark.parametrize(
    "storage", ["bad://", "no url", "{}", "sqlite:////no/such/folder/x.db", "mysql://nobody@nowhere/x"]
)
def test_a_storage_that_cannot_be_opened_is_named_before_anything_is_trained(home, capsys, storage):
    assert program.main(arguments(home, "--storage", storage)) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: --storage {storage} cannot be opened") and "sqlite:///tune.db" in error
    assert not list((home / "runs").rglob("fold*"))
