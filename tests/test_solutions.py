"""Every folder in solutions/ is found and held to the contract; nothing lists them."""

import inspect
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


def make_challenge(folder: Path, solution, window: tuple[int, int]):
    """Build a challenge with the inputs the solution wants, whose target follows its sequences."""
    start, stop = window
    length = max(LENGTH, stop - start)
    names = () if solution.Model is None else tuple(inspect.signature(solution.Model.forward).parameters)[2:]
    inputs = {name: SHAPES.get(name, (1,)) for name in names}
    generator = np.random.default_rng(0)
    tokens = generator.integers(0, 4, (NUM_ROWS, length)).astype(np.uint8)
    target = 8 + tokens[:, :LENGTH].sum(1) / 20 + generator.normal(size=NUM_ROWS)
    values = {name: generator.random((NUM_ROWS, *shape)) for name, shape in inputs.items()}
    challenge = Challenge(
        "tiny", (Target("expression"),), (Score("mse", "mse", "minimize", 0, np.inf),),
        origin=max(0, -start), inputs=inputs,
    )  # fmt: skip
    with create_challenge(folder, challenge) as writer:
        writer.train.append(tokens, np.full(NUM_ROWS, length), target=target, inputs=values)
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
