"""The whole line, run as a user runs it: scores, files, repeats, kills, resumes and several processes."""

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from competition import run as program
from competition import submission
from competition.data.declaration import Declaration, Score, Target
from competition.data.writer import create_challenge
from competition.judging.manifest import read_manifest, update_manifest

REPOSITORY = Path(__file__).parents[1]
SOLUTION = '''
"""A small convolutional network with all that makes repeats hard: dropout, shifts, strands, averages, and an
augmentation of its own."""
from dataclasses import dataclass
import torch
from torch import nn

@dataclass(frozen=True)
class Config:
    challenge: str = "toy"
    window: tuple[int, int] = (-2, 62)
    shift: tuple[int, int] = (-2, 2)
    reverse_complement: bool = True
    batch_size: int = 32
    epochs: int = 3
    patience: int | None = None
    restarts: int = 1
    ema: float | None = 0.9
    dropout: float = 0.1
    normalise: bool = True
    slow: float = 0.0
    scale: float = 1.0

def erase(tokens, draws):
    place = torch.arange(tokens.shape[1])
    start = torch.from_numpy(draws.integers(0, tokens.shape[1] - 4, "erase"))[:, None]
    return torch.where((place >= start) & (place < start + 4), 4, tokens)

class Model(nn.Module):
    augmentations = (erase,)

    def __init__(self, config, challenge):
        super().__init__()
        channels, width = challenge.inputs["sequence"]
        self.config = config
        self.first = nn.Conv1d(channels, 16, 7, padding=3)
        self.norm = nn.BatchNorm1d(16) if config.normalise else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(16, len(challenge.targets))

    def initialize(self, target):
        self.output.bias.copy_(target.mean(0) / max(self.config.scale, 1e-9))

    def optimizer(self, num_steps):
        return torch.optim.Adam(self.parameters(), lr=0.02), None

    def forward(self, sequence):
        x = torch.relu(self.norm(self.first(sequence)))
        return self.config.scale * self.output(self.dropout(x.mean(2)))

    def loss(self, outputs, batch):
        if self.config.slow:
            import time
            time.sleep(self.config.slow)
        return nn.functional.mse_loss(outputs, batch["target"])
'''


def make_challenge(
    folder: Path,
    *,
    num_train: int = 240,
    num_test: int = 60,
    num_known: int = 0,
    num_targets: int = 1,
    labels: bool = False,
) -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 4, (num_train + num_test, 60)).astype(np.uint8)
    tokens[num_train : num_train + num_known] = tokens[:num_known]
    target = ((tokens == 1) | (tokens == 2)).sum(1) / 5.0 + rng.normal(size=len(tokens)) / 5
    target = np.stack([target, *rng.normal(size=(num_targets - 1, len(tokens)))], axis=1)
    target = (target > np.median(target, axis=0)).astype(float) if labels else target
    names = ["expression", "other [b/c]"][:num_targets]
    lengths = np.full(len(tokens), 60)
    scores = (
        Score.of("pearson"),
        Score.of("mse"),
    )
    challenge = Declaration("toy", tuple(map(Target, names)), scores)
    with create_challenge(folder, challenge) as writer:
        writer.train.append(tokens[:num_train], lengths[:num_train], target=target[:num_train])
        if num_test:
            writer.test.append(tokens[num_train:], lengths[num_train:])
            ids = [str(i) for i in range(num_test)]
            answers = {
                "id": ids,
                **dict(zip(names, target[num_train:].T, strict=True)),
                "usage": ["public", "private"] * (num_test // 2),
            }
            writer.write_answers(pd.DataFrame(answers))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with the toy challenge and the toy solution."""
    make_challenge(tmp_path / "data" / "toy")
    (tmp_path / "solutions" / "small").mkdir(parents=True)
    (tmp_path / "solutions" / "small" / "solution.py").write_text(SOLUTION)
    (tmp_path / "solutions" / "small" / "README.md").write_text("Source: made for these tests.")
    return tmp_path


def arguments(home: Path, run_id: str, *more: str) -> list[str]:
    folders = [f"--{name}={home / name}" for name in ("data", "runs", "submissions")]
    return [str(home / "solutions" / "small"), "--run-id", run_id, "--device", "cpu", *folders, *more]


def run(home: Path, run_id: str, *more: str) -> Path:
    assert program.main(arguments(home, run_id, "--no-check", "--folds", "3", *more)) == 0
    return home / "runs" / "toy" / "small" / run_id


def products(folder: Path) -> dict[str, bytes]:
    """Everything a run makes that must not depend on how it was interrupted."""
    home = folder.parents[3]
    files = [
        *folder.glob("fold*/*.safetensors"),
        *folder.glob("fold*/*.npy"),
        *folder.glob("fold*/history.csv"),
    ]
    named = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    named["oof"] = (folder / "oof.csv").read_bytes()
    named["csv"] = (home / "submissions" / "toy" / f"small-{folder.name}.csv").read_bytes()
    return named


def test_a_run_on_test_rows_that_stand_in_training_says_so_at_once_and_on_the_board(home, capsys):
    shutil.rmtree(home / "data")
    make_challenge(home / "data" / "toy", num_known=7)
    run(home, "leaky", "--set", "epochs=1")
    line = "7 of 60 test rows share a homology cluster with rows in training, which flatters scores"
    printed = capsys.readouterr().out
    assert f"warning    {line}" in printed
    assert re.search(r"^ +1 +small † +0\.", printed, re.MULTILINE), "the board ends the run"
    [warning] = json.loads((home / "submissions" / "toy" / "small-leaky.json").read_text())["warnings"]
    assert warning == f"{line}; see python -m competition.audit toy"
    board = (home / "submissions" / "LEADERBOARD.md").read_text()
    assert f"† warning, 1 of 1 submissions: {warning}" in board and "| small † |" in board


def test_a_run_leaves_predictions_weights_a_submission_and_a_scored_manifest(home):
    folder = run(home, "one")
    manifest = json.loads((home / "submissions" / "toy" / "small-one.json").read_text())
    assert len(pd.read_csv(folder / "oof.csv")) == 240
    assert len(list(folder.glob("fold*/weights.safetensors"))) == 3
    assert len(pd.read_csv(home / "submissions" / "toy" / "small-one.csv")) == 60
    assert manifest["oof"]["pearson"] > 0.5
    assert manifest["scores"]["all"]["pearson"] > 0.5


def test_the_same_command_gives_the_same_bytes(home):
    assert products(run(home, "one")) == products(run(home, "two"))


def test_another_seed_gives_other_weights(home):
    one, two = run(home, "one"), run(home, "two", "--seed", "1")
    weights = [load_file(path / "fold0" / "weights.safetensors")["output.weight"] for path in (one, two)]
    assert not torch.equal(*weights)


def launch(home: Path, run_id: str, *more: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        *launcher,
        "-m",
        "competition.run",
        *arguments(home, run_id, "--no-check", *more),
    ]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=home, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=heed_signals,
    )  # fmt: skip


SLOW = ("--folds", "3", "--save-seconds", "0", "--set", "slow=0.05")


def kill_in_second_fold(home: Path, run_id: str) -> Path:
    process, folder = launch(home, run_id, *SLOW), home / "runs" / "toy" / "small" / run_id
    state, deadline = folder / "fold1" / "state.safetensors", time.monotonic() + 120
    while not state.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert state.exists(), "it was to be killed in the middle of the second fold"
    return folder


def test_a_run_that_is_killed_and_resumed_gives_the_same_bytes_as_an_unbroken_one(home):
    """A bare --resume finds it, though a newer run is finished and the newest is another command's."""
    broken, whole = kill_in_second_fold(home, "broken"), run(home, "whole", *SLOW)
    (run(home, "other", "--seed", "1") / "finished.json").unlink()
    resumed = launch(home, "ignored", *SLOW, "--resume")
    assert resumed.wait(120) == 0, resumed.stdout.read()
    assert products(whole) == products(broken)


def test_a_run_that_was_killed_before_its_submission_submits_when_resumed(home):
    folder = run(home, "one")
    whole = products(folder)
    for path in [folder / "finished.json", *(home / "submissions" / "toy").glob("small-one.*")]:
        path.unlink()
    run(home, "ignored", "--resume")
    assert products(folder) == whole
    assert json.loads((home / "submissions" / "toy" / "small-one.json").read_text())["scores"]


def test_a_finished_run_says_where_its_submission_is_instead_of_being_resumed(home, capsys):
    run(home, "one")
    error = fails(capsys, home, "--no-check", "--folds", "3", "--resume", "one")
    assert "is finished" in error
    assert str(home / "submissions" / "toy" / "small-one.csv") in error


def test_a_bare_resume_without_a_run_of_its_own_says_why_the_unfinished_ones_are_not(home, capsys):
    (run(home, "one") / "finished.json").unlink()
    run(home, "two")
    error = fails(capsys, home, "--no-check", "--folds", "3", "--resume", "--seed", "1")
    assert "no unfinished run of this command" in error
    assert "one was begun with another seed: 0 then, 1 now" in error
    assert "two" not in error


def heed_signals() -> None:
    """Undo what the tests may have been started with: in the background Ctrl-C is ignored."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_DFL)


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


def interrupt(home: Path, number: int, launcher: tuple[str, ...] = ()) -> tuple[int, list[str]]:
    """Send a signal to the run "one" in the middle of its first fold; return its status and its output."""
    slow = ("--folds", "2", "--save-seconds", "0", "--set", "slow=0.05")
    broken = launch(home, "one", *slow, launcher=launcher)
    state = home / "runs" / "toy" / "small" / "one" / "fold0" / "state.safetensors"
    deadline = time.monotonic() + 120
    while not state.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    broken.send_signal(number)
    output, _ = broken.communicate(timeout=120)
    return broken.returncode, output.splitlines()


def test_an_interrupted_run_names_the_command_that_finishes_it(home):
    status, lines = interrupt(home, signal.SIGINT)
    assert status == 130 and not any("Traceback" in line for line in lines)
    said, _, command = lines[-1].partition("; continue with: python ")
    assert said == "interrupted by SIGINT" and command.endswith(" --resume one")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, *shlex.split(command)], cwd=home, env=environment, check=True)
    assert len(pd.read_csv(home / "submissions" / "toy" / "small-one.csv")) == 60


def test_of_several_interrupted_processes_one_names_the_command_for_all(home):
    _, lines = interrupt(home, signal.SIGTERM, TORCHRUN)
    (line,) = [line for line in lines if line.startswith("interrupted by")]
    assert "; continue with: torchrun --nproc_per_node 2 -m competition.run " in line
    assert line.endswith(" --resume one")


def test_two_processes_train_on_the_same_global_batches_as_one(home):
    exact = ("--folds", "2", "--precision", "no", "--set", "normalise=false", "--set", "dropout=0.0")
    one = launch(home, "one", *exact)
    assert one.wait(120) == 0, one.stdout.read()
    two = launch(home, "two", *exact, launcher=TORCHRUN)
    assert two.wait(240) == 0, two.stdout.read()
    folders = [home / "runs" / "toy" / "small" / name for name in ("one", "two")]
    frames = [pd.read_csv(folder / "oof.csv")["expression"] for folder in folders]
    np.testing.assert_allclose(frames[0], frames[1], rtol=1e-4, atol=1e-4)
    losses = [pd.read_csv(folder / "fold0" / "history.csv")["loss"] for folder in folders]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_held_out_rows_choose_nothing_about_the_model_that_predicts_them(home):
    """Early stopping and all: spoiling the held-out answers must leave the fold's weights as they are."""
    stopping = ("--set", "patience=1", "--set", "epochs=6")
    honest = run(home, "honest", *stopping)
    fold = pd.read_csv(honest / "oof.csv")["fold"].to_numpy()
    path = home / "data" / "toy" / "public" / "train" / "target.npy"
    target = np.load(path)
    target[fold == 0] = -target[fold == 0]
    np.save(path, target)
    seal(home / "data" / "toy")
    spoilt = run(home, "spoilt", *stopping)
    weights = "fold0/weights.safetensors"
    assert (honest / weights).read_bytes() == (spoilt / weights).read_bytes()
    assert (honest / "fold1/weights.safetensors").read_bytes() != (
        spoilt / "fold1/weights.safetensors"
    ).read_bytes()


def seal(folder: Path) -> None:
    """Write the checksums of a challenge anew after a deliberate change."""
    from dataclasses import replace

    from competition.data.challenge_toml import from_toml, to_toml
    from competition.data.writer import _digests

    declaration = folder / "public" / "challenge.toml"
    challenge = from_toml(declaration)
    declaration.unlink()
    declaration.write_text(to_toml(replace(challenge, files=_digests(folder / "public"))))


def fails(capsys, home: Path, *more: str, run_id: str = "bad") -> str:
    assert program.main(arguments(home, run_id, *more)) == 2
    return capsys.readouterr().err


def test_a_second_run_into_the_same_folder_is_refused(home, capsys):
    run(home, "one")
    assert "exists already" in fails(capsys, home, "--no-check", run_id="one")


def test_a_resumed_run_must_be_the_same_run(home, capsys):
    run(home, "one")
    error = fails(capsys, home, "--no-check", "--folds", "3", "--resume", "one", "--set", "epochs=9")
    assert "epochs 3 then, 9 now" in error


def test_a_run_that_another_process_writes_is_refused(home, capsys):
    import fcntl

    folder = run(home, "one")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        error = fails(capsys, home, "--no-check", "--folds", "3", "--resume", "one")
    assert "another process" in error


def test_an_unknown_field_is_refused_with_the_nearest_known_one(home, capsys):
    assert "did you mean 'batch_size'" in fails(capsys, home, "--set", "batchsize=3")


def test_more_folds_than_groups_are_refused_and_leave_no_run_behind(home, capsys):
    assert "folds" in fails(capsys, home, "--folds", "1000")
    assert not (home / "runs").exists()


def test_a_loss_that_is_not_finite_stops_the_run_and_says_what_to_try(home, capsys):
    error = fails(capsys, home, "--no-check", "--set", "scale=1e30")
    assert "loss is" in error
    assert "learning rate" in error


def test_a_collapsed_run_has_no_score(home, capsys):
    assert run(home, "flat", "--set", "scale=0.0").exists()
    manifest = json.loads((home / "submissions" / "toy" / "small-flat.json").read_text())
    assert "constant" in manifest["collapsed"]
    assert not manifest["scores"]
    assert not manifest["oof"]
    assert "no score" in capsys.readouterr().out


def test_a_challenge_without_test_rows_gives_out_of_fold_scores_alone(home):
    make_challenge(home / "data" / "untested", num_test=0)
    folders = [f"--{name}={home / name}" for name in ("data", "runs", "submissions")]
    small = str(home / "solutions" / "small")
    assert program.main([small, "--challenge", "untested", "--no-check", "--run-id", "x", *folders]) == 0
    assert not list((home / "submissions").rglob("*.csv"))
    assert json.loads(next((home / "submissions").rglob("*.json")).read_text())["oof"]["pearson"] > 0.5


def test_a_run_scores_each_of_several_targets_out_of_fold_and_on_test_rows(home, capsys):
    shutil.rmtree(home / "data")
    make_challenge(home / "data" / "toy", num_targets=2)
    folder = run(home, "two", "--set", "epochs=1")
    manifest = read_manifest(home / "submissions" / "toy" / "small-two.json")
    shown = " ".join(capsys.readouterr().out.split("on private test rows, pearson")[1].split())
    truth, oof = (
        np.load(home / "data" / "toy" / "public" / "train" / "target.npy"),
        pd.read_csv(folder / "oof.csv"),
    )
    for number, (name, scores) in enumerate(manifest.targets.items()):
        wanted = np.corrcoef(truth[:, number], oof[name])[0, 1]
        assert scores["oof"]["pearson"] == pytest.approx(wanted) and len(scores["fold_scores"]["mse"]) == 3
        tested, (low, high) = (scores[kind]["private"]["pearson"] for kind in ("scores", "intervals"))
        assert f"{name} {wanted:.4f}" in shown and f"{tested:.4f} {low:.4f} to {high:.4f}" in shown
    assert list(manifest.targets) == ["expression", "other [b/c]"]
    assert "| small | " in (home / "submissions" / "LEADERBOARD.md").read_text().split("of each target")[1]


def test_a_run_on_labels_shows_metrics_of_labels_for_each_fold(home, capsys):
    shutil.rmtree(home / "data")
    make_challenge(home / "data" / "toy", labels=True)
    run(home, "labels", "--set", "epochs=1")
    scores = read_manifest(home / "submissions" / "toy" / "small-labels.json").fold_scores
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["rows", "auroc", "auprc", "pearson", "mse", "time"] in lines
    for fold in range(3):
        shown = next(line for line in lines if line[:2] == ["fold", str(fold)])
        assert shown[3:5] == [f"{scores[name][fold]:.4f}" for name in ("auroc", "auprc")]


def test_help_is_quick_and_needs_no_torch():
    code = "import sys, competition.run as r; r.parse(['solutions/x']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)


def make_relative_challenge(folder: Path, name: str, tokens: np.ndarray) -> None:
    challenge = Declaration(name, (Target("expression"),), (Score.of("pearson"),))
    with create_challenge(folder, challenge) as writer:
        target = ((tokens == 1) | (tokens == 2)).sum(1) / 5.0
        writer.train.append(tokens, np.full(len(tokens), tokens.shape[1]), target=target)


@pytest.fixture
def two_challenges(home: Path) -> Path:
    """A large challenge that holds, moved by some bases, half of the rows of a small one."""
    rng = np.random.default_rng(1)
    large, small = (rng.integers(0, 4, (count, 60)).astype(np.uint8) for count in (300, 80))
    large[:40, :45] = small[:40, 10:55]
    make_relative_challenge(home / "data" / "large", "large", large)
    make_relative_challenge(home / "data" / "small", "small", small)
    return home


def run_on(home: Path, challenge: str, run_id: str, *more: str) -> int:
    options = ("--no-check", "--folds", "3", "--challenge", challenge)
    return program.main(arguments(home, run_id, *options, *more))


def folder_of(home: Path, challenge: str, run_id: str) -> Path:
    return home / "runs" / challenge / "small" / run_id


def test_fine_tuning_starts_each_fold_from_the_weights_of_the_same_fold(two_challenges):
    home = two_challenges
    assert run_on(home, "large", "before", "--exclude-homologs-of", "small") == 0
    before = folder_of(home, "large", "before")
    still = ("--set", "epochs=1", "--set", "ema=0.999999", "--set", "normalise=true")
    assert run_on(home, "small", "after", "--init", str(before), *still) == 0
    first, second = (
        home / "submissions" / name for name in ("large/small-before.json", "small/small-after.json")
    )
    assert (read_manifest(first).exclude_homologs_of, read_manifest(second).init) == ("small", str(before))
    for fold in range(3):
        start, end = (
            load_file(folder / f"fold{fold}" / "weights.safetensors")["first.weight"]
            for folder in (before, folder_of(home, "small", "after"))
        )
        others = [load_file(before / f"fold{other}" / "weights.safetensors") for other in {0, 1, 2} - {fold}]
        assert all((end - start).norm() < (end - other["first.weight"]).norm() for other in others)


def test_a_model_that_saw_homologs_of_what_it_will_predict_is_refused(two_challenges, capsys):
    home = two_challenges
    assert run_on(home, "large", "before") == 0
    before = str(folder_of(home, "large", "before"))
    assert run_on(home, "small", "after", "--init", before) == 2
    message = capsys.readouterr().err
    assert "was trained on homologs of" in message and "--exclude-homologs-of small" in message
    assert not folder_of(home, "small", "after").exists()


def test_excluded_rows_are_trained_on_by_no_model(two_challenges):
    home = two_challenges
    for run_id, more in (("all", ()), ("fewer", ("--exclude-homologs-of", "small"))):
        assert run_on(home, "large", run_id, *more) == 0
    counts = [
        [json.loads((folder_of(home, "large", run_id) / f"fold{f}/fold.json").read_text())["train_rows"]
         for f in range(3)]
        for run_id in ("all", "fewer")
    ]  # fmt: skip
    assert sum(counts[0]) - sum(counts[1]) == 2 * 40  # each row is trained on by two of three models


@pytest.mark.parametrize(
    ("begin", "words"),
    [
        (("--folds", "2"), "has 2 folds; wanted 3"),
        (("--set", "normalise=false", "--set", "dropout=0.2"), None),
    ],
)
def test_what_a_run_starts_from_must_fit(home, capsys, begin, words):
    assert program.main(arguments(home, "before", "--no-check", "--folds", "3", *begin)) == 0
    before = home / "runs" / "toy" / "small" / "before"
    status = program.main(arguments(home, "after", "--no-check", "--folds", "3", "--init", str(before)))
    assert status == (2 if words else 0)
    assert words is None or words in capsys.readouterr().err


def test_a_run_that_is_not_there_cannot_be_started_from(home, capsys):
    assert program.main(arguments(home, "after", "--no-check", "--init", str(home / "nothing"))) == 2
    assert "wanted the folder of a run" in capsys.readouterr().err


def test_of_several_starts_the_best_on_the_validation_split_predicts(home):
    folder = run(home, "one", "--set", "restarts=3", "--set", "patience=2")
    record = json.loads((folder / "fold0" / "fold.json").read_text())
    best = int(np.argmax(record["restart_scores"]))
    assert len(set(record["restart_scores"])) == 3
    kept, chosen = (
        folder / "fold0" / name for name in ("weights.safetensors", f"restart{best}/weights.safetensors")
    )
    assert kept.read_bytes() == chosen.read_bytes()


def test_several_starts_need_rows_to_choose_by(home, capsys):
    assert program.main(arguments(home, "one", "--no-check", "--set", "restarts=2")) == 2
    assert "needs a validation split" in capsys.readouterr().err


def test_a_start_that_predicts_one_constant_is_never_the_best(home):
    folder = run(home, "one", "--set", "patience=1", "--set", "scale=0.0")
    history = pd.read_csv(folder / "fold0" / "history.csv")
    assert np.isneginf(history["validation_score"]).all()
    manifest = json.loads((home / "submissions" / "toy" / "small-one.json").read_text())
    assert manifest["collapsed"] and not manifest["scores"]


def test_a_model_that_is_not_for_a_challenge_says_so_in_one_line(home, capsys):
    path = home / "solutions" / "small" / "solution.py"
    refusal = 'raise ValueError("targets below 0; wanted counts")'
    text = path.read_text()
    path.write_text(
        text.replace("        self.output.bias.copy_", f"        {refusal}\n        self.output.bias.copy_")
    )
    assert program.main(arguments(home, "one", "--no-check")) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "error: small: targets below 0; wanted counts"


def check(home: Path, action: str, name: str, *more: str) -> int:
    path = home / "submissions" / "toy" / f"small-{name}.csv"
    folders = [f"--{folder}={home / folder}" for folder in ("data", "runs")]
    return submission.main([action, str(path), *folders, *more])


def test_a_submission_agrees_with_the_weights_of_its_run(home, capsys):
    run(home, "one")
    assert check(home, "verify", "one") == 0
    assert "agrees with its weights" in capsys.readouterr().out


def test_a_setting_of_the_harness_that_the_config_lacks_is_recorded_resumed_and_verified(home, capsys):
    folder = run(home, "one", "--set", "gradient_clip=1", "--set", "epochs=1")
    assert json.loads((folder / "run.json").read_text())["config"]["gradient_clip"] == 1.0
    assert check(home, "verify", "one") == 0
    (folder / "finished.json").unlink()
    more = ("--no-check", "--folds", "3", "--resume", "one", "--set", "epochs=1", "--set")
    error = fails(capsys, home, *more, "gradient_clip=2")
    assert "gradient_clip 1.0 then, 2.0 now" in error
    assert program.main(arguments(home, "x", *more, "gradient_clip=1")) == 0


def test_predictions_of_other_weights_are_found_out(home, capsys):
    run(home, "one")
    path = home / "submissions" / "toy" / "small-one.csv"
    table = pd.read_csv(path, dtype={"id": str})
    table.loc[7, "expression"] += 0.5
    path.write_text(table.to_csv(index=False))
    assert check(home, "verify", "one") == 2
    assert "is not the file that its manifest describes" in capsys.readouterr().err
    update_manifest(path, csv_sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    assert check(home, "verify", "one") == 1
    assert "DIFFERS from its weights: largest difference 0.5" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["fold1/weights.safetensors", "source/solution.py"])
def test_weights_and_source_that_were_changed_are_found_out(home, capsys, name):
    path = run(home, "one") / name
    path.write_bytes(path.read_bytes() + b" ")
    assert check(home, "verify", "one") == 2
    assert "sha256 differs" in capsys.readouterr().err


def test_a_submission_whose_run_is_elsewhere_cannot_be_verified(home, capsys):
    shutil.rmtree(run(home, "one"))
    assert check(home, "verify", "one") == 2
    assert "wanted the run that made the submission" in capsys.readouterr().err
    update_manifest(home / "submissions" / "toy" / "small-one.csv", run="../one")
    assert check(home, "verify", "one") == 2
    assert "run of a manifest '../one': wanted letters" in capsys.readouterr().err


def exact_values(path: Path) -> pd.Series:
    """Read every digit, which pandas does not before its version 3."""
    return pd.read_csv(path, dtype=str).set_index("id")["expression"].map(float)


def test_an_exported_submission_has_its_values(home, tmp_path):
    run(home, "one")
    values = exact_values(home / "submissions" / "toy" / "small-one.csv")
    for form in ("kaggle", "dream-json", "dream-tsv"):
        assert check(home, "export", "one", "--to", form, "--output", str(tmp_path / form)) == 0
    pd.testing.assert_series_equal(exact_values(tmp_path / "kaggle"), values)
    assert json.loads((tmp_path / "dream-json").read_text()) == values.to_dict()
    lines = [line.split("\t") for line in (tmp_path / "dream-tsv").read_text().splitlines()]
    assert [float(value) for _, value in lines] == values.tolist()
    assert {len(sequence) for sequence, _ in lines} == {60}


@pytest.mark.parametrize("option", ["--runs", "--submissions"])
def test_a_folder_that_cannot_be_written_is_found_before_training(home, capsys, option):
    (home / "file").write_text("")
    error = fails(capsys, home, "--no-check", "--folds", "3", option, str(home / "file" / "x"))
    assert error.startswith(f"error: {option} {home / 'file' / 'x' / 'toy'}") and "Not a directory" in error
    assert not (home / "runs").exists()


def test_answers_that_are_damaged_are_found_before_training(home, capsys):
    with (home / "data" / "toy" / "private" / "answers.csv").open("a") as file:
        file.write("more\n")
    assert "answers.csv has changed" in fails(capsys, home, "--no-check", "--folds", "3")
    assert not (home / "runs").exists()


def test_a_target_that_does_not_vary_is_found_before_training(home, capsys):
    with create_challenge(
        home / "data" / "flat", Declaration("flat", (Target("y"),), (Score.of("mse"),))
    ) as writer:
        tokens = np.random.default_rng(0).integers(0, 4, (40, 60)).astype(np.uint8)
        writer.train.append(tokens, np.full(40, 60), target=1e8 + np.arange(40) / 40)
    error = fails(capsys, home, "--no-check", "--folds", "3", "--challenge", "flat")
    assert "target 'y' is 100000000 in every training row, as it is stored" in error
    assert not (home / "runs").exists()


@pytest.mark.parametrize("name", ["fold0/fold.json", "fold0/oof.npy", "fold0/test.npy", "run.json"])
@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", None])
def test_a_damaged_file_of_a_run_is_named_where_it_is_resumed(home, finished, capsys, name, content):
    shutil.copytree(finished, home, dirs_exist_ok=True)
    folder = home / "runs" / "toy" / "small" / "one"
    (folder / "finished.json").unlink()
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:-9] if content is None else content)
    error = fails(capsys, home, "--no-check", "--folds", "3", "--resume", "one")
    assert error.startswith("error: ") and name in error and error.count("\n") == 1


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run, to be copied."""
    home = tmp_path_factory.mktemp("finished")
    make_challenge(home / "data" / "toy")
    (home / "solutions" / "small").mkdir(parents=True)
    (home / "solutions" / "small" / "solution.py").write_text(SOLUTION)
    run(home, "one")
    return home
