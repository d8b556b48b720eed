"""Every folder in solutions/ is found and held to the contract; nothing lists them."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from competition.contract.checks import check_contract
from competition.data.challenge import Challenge, Score, Target, create_challenge, open_challenge
from competition.training.solution import configure, load_solution, setting

FOLDERS = sorted(path.parent for path in (Path(__file__).parents[1] / "solutions").glob("*/solution.py"))
LENGTH, NUM_ROWS = 110, 64
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
    challenge = Challenge(
        "tiny", (Target("expression"),), (Score("mse", "mse", "minimize", 0, np.inf),),
        origin=max(0, -start), inputs=inputs,
    )  # fmt: skip
    with create_challenge(folder, challenge) as writer:
        writer.train.append(tokens, np.full(num_rows, length), target=target, inputs=values)
    return open_challenge(folder)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Building a model, most of the work here, gains nothing from threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_there_are_solutions():
    assert FOLDERS


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_solution_keeps_the_contract(folder, tmp_path):
    solution = load_solution(folder)
    window = setting(solution.Config(), "window")
    opened = make_challenge(tmp_path / "tiny", solution, window)
    config, _ = configure(solution, NUM_ROWS)
    findings = check_contract(solution, opened, config, device=torch.device("cpu"), seconds=10)
    faults = [f"{finding.name}: {finding.message}" for finding in findings if finding.ok is False]
    assert not faults, "\n".join(faults)


def train_each(home: Path, folders: list[Path], launcher: tuple[str, ...]) -> dict:
    """Train every folder's network on so many processes; return what they tell."""
    script = Path(__file__).with_name("train_each_solution.py")
    command = [sys.executable, *launcher, str(script), str(home), *map(str, folders)]
    environment = {**os.environ, "PYTHONPATH": str(script.parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.partition("FOUND ")[2])


def test_every_network_trains_on_two_processes_on_the_batches_of_one(tmp_path):
    folders = [folder for folder in FOLDERS if load_solution(folder).Model is not None]
    for folder in folders:
        solution = load_solution(folder)
        config, _ = configure(solution, 24)
        make_challenge(tmp_path / folder.name, solution, setting(config, "window"), num_rows=24)
    one = train_each(tmp_path, folders, ())
    pair = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    two = train_each(tmp_path, folders, pair)
    for folder in folders:
        assert two[folder.name]["batches"] == one[folder.name]["batches"], folder.name
        assert two[folder.name]["weights_agree"], folder.name
        assert len(one[folder.name]["batches"]) > 1
