"""Every folder in solutions/ is found and held to the contract; nothing lists them."""

import inspect
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch

from competition.contract.checks import check_contract
from competition.data.challenge import open_challenge
from competition.data.declaration import Declaration, InputSequence, Score, Shapes, Target
from competition.data.tokens import planes
from competition.data.writer import create_challenge
from competition.training.recipe import Recipe
from competition.training.solution import configure, load_solution

REPOSITORY = Path(__file__).parents[2]
FOLDERS = sorted(path.parent for path in (REPOSITORY / "solutions").glob("*/solution.py"))
LENGTH, NUM_ROWS = 110, 64
WINDOW = (0, 112)  # of the challenge, where a solution reads all that is stored
# Shapes of the inputs that challenges bring besides the sequence; any other is one number a row.
SHAPES = {"histone": (5, 100), "half_life": (8,)}


def make_challenge(folder: Path, solution, window: tuple[int, int], num_rows: int = NUM_ROWS):
    """Build a challenge with the inputs the solution wants, whose target follows its sequences."""
    start, stop = window
    length = max(LENGTH, stop - start)
    names = () if solution.Model is None else tuple(inspect.signature(solution.Model.forward).parameters)[2:]
    inputs = {name: SHAPES.get(name, (1,)) for name in names}
    generator = np.random.default_rng(0)
    tokens = generator.integers(0, 4, (num_rows, length)).astype(np.uint8)
    target = 8 + tokens[:, :LENGTH].sum(1) / 20 + generator.normal(size=num_rows)
    values = {name: generator.random((num_rows, *shape)) for name, shape in inputs.items()}
    challenge = Declaration(
        "tiny", (Target("expression"),), (Score.of("mse"),),
        sequences=(InputSequence(origin=max(0, -start)),), inputs=inputs,
    )  # fmt: skip
    with create_challenge(folder, challenge) as writer:
        writer.train.append(tokens, np.full(num_rows, length), target=target, inputs=values)
    return open_challenge(folder)


def test_there_are_solutions():
    assert FOLDERS


def advice() -> list[str]:
    """Return every --set NAME=VALUE of the README and of the harness's messages."""
    files = [REPOSITORY / "README.md", *(REPOSITORY / "competition").rglob("*.py")]
    found = [re.findall(r"--set (\w+=[\w.]+)", path.read_text(encoding="utf-8")) for path in files]
    return sorted({each.replace("=N", "=512") for each in itertools.chain(*found)})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_what_the_readme_and_errors_advise_to_set_can_be_set_on_every_solution(folder):
    solution = load_solution(folder)
    assert {"epochs=8", "gradient_clip=1", "batch_size=512"} <= set(advice())
    lower_rate = ["learning_rate=1e-5"] if solution.Model is not None else []
    for setting in ["patience=none", "patience=3", *advice(), *lower_rate]:
        config, _ = configure(solution, NUM_ROWS, settings=[setting])
        name, _, value = setting.partition("=")
        assert str(getattr(config, name)).lower() in (value, f"{value}.0", "1e-05")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_solution_keeps_the_contract(folder, tmp_path):
    solution = load_solution(folder)
    window = Recipe.of(solution.Config()).window or WINDOW
    opened = make_challenge(tmp_path / "tiny", solution, window)
    config, _ = configure(solution, NUM_ROWS)
    outcomes = check_contract(solution, opened, config, device=torch.device("cpu"), seconds=10)
    faults = [f"{outcome.clause}: {outcome.message}" for outcome in outcomes if outcome.passed is False]
    assert not faults, "\n".join(faults)


@pytest.mark.filterwarnings("error")  # of choices that a study on disk cannot keep
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_whatever_tuning_draws_can_be_built(folder):
    """The contract runs some of these networks; here many are built, of shapes alone."""
    solution = load_solution(folder)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    configs = [solution.Config.search(study.ask()) for _ in range(20)]
    assert len(set(configs)) > 1
    for config in configs if solution.Model else []:
        recipe = Recipe.of(config)
        start, stop = recipe.window or WINDOW
        sequence = (planes(recipe.encoding).shape[1], stop - start)
        with torch.device("meta"):
            solution.Model(config, Shapes({"sequence": sequence, **SHAPES}, ("y",)))


def train_each(home: Path, folders: list[Path], launcher: tuple[str, ...]) -> dict:
    """Train every folder's network on so many processes; return what they tell."""
    script = Path(__file__).with_name("train_each_solution.py")
    command = [sys.executable, *launcher, str(script), str(home), *map(str, folders)]
    environment = {**os.environ, "PYTHONPATH": str(script.parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.partition("FOUND ")[2])


# Batch norm of every kind a solution may bring: as it comes, without weights, and with a forward of its own.
NORMS = """
from dataclasses import dataclass
import torch
from torch import nn
from torch.nn import functional

@dataclass(frozen=True)
class Config:
    batch_size: int = 7
    epochs: int = 1
    accumulate: int = 2

class Own(nn.BatchNorm1d):
    def forward(self, x):
        return functional.batch_norm(x, self.running_mean, self.running_var, None, None, self.training, 0.5)

class Model(nn.Module):
    def __init__(self, config, challenge):
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv1d(4, 8, 5), nn.BatchNorm1d(8), nn.ReLU(),
            nn.Conv1d(8, 8, 5), nn.BatchNorm1d(8, affine=False),
        )
        self.dense = nn.Sequential(nn.Linear(8, 8), Own(8, affine=False), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, sequence):
        return self.dense(self.convolutions(sequence).amax(2))
"""


def test_every_network_learns_the_same_on_one_process_and_on_several(tmp_path):
    """Batches are of seven rows or six: the processes' shares of them differ by a row."""
    norms = tmp_path / "solutions" / "norms"
    norms.mkdir(parents=True)
    (norms / "solution.py").write_text(NORMS)
    folders = [norms, *(folder for folder in FOLDERS if load_solution(folder).Model is not None)]
    for folder in folders:
        solution = load_solution(folder)
        config, _ = configure(solution, 30)
        make_challenge(tmp_path / folder.name, solution, Recipe.of(config).window or WINDOW, num_rows=30)
    one = train_each(tmp_path, folders, ())
    several = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node")
    for processes, trained in ((2, folders), (3, [norms])):
        found = train_each(tmp_path, trained, (*several, str(processes)))
        for name, each in found.items():
            assert each["batches"] == one[name]["batches"], name
            assert each["weights_agree"], name
            assert len(one[name]["batches"]) > 1
            ours, theirs = (np.load(tmp_path / f"{name}-{count}.npz") for count in (1, processes))
            assert np.array_equal(ours["two_predictions"], theirs["two_predictions"]), name
            far = distance(ours, theirs)
            # Deep networks amplify rounding: on one process, two steps on batches in reverse take ExpResNet's
            # parameters 15 % of the way elsewhere; batch norm over each process's own rows, all of the way.
            assert far["parameters"] < (1e-4 if name == "norms" else 0.5), (name, processes, far)
            assert far.get("buffers", 0) < (1e-5 if name == "norms" else 5e-4), (name, processes, far)


def distance(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> dict[str, float]:
    """Return how far apart two trainings ended, as a part of the way that the first one went."""
    names = [name for name in ("parameters", "buffers") if ours[name].any()]
    return {n: np.linalg.norm(theirs[n] - ours[n]) / np.linalg.norm(ours[n]) for n in names}
