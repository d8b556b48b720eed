"""Solutions whose originals were trained in Keras step as Keras does, each with its own optimizer."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from competition.data.declaration import Shapes
from competition.training.solution import load_solution

SOLUTIONS = Path(__file__).parents[2] / "solutions"
SHAPES = Shapes({"sequence": (5, 1_280), "histone": (5, 100)}, ("y",))
SMALL = {
    "crmnet": {"window": (0, 1_280), "filters": 8, "blocks": 4, "heads": 3, "key_dim": 4},
    "dual_module": {"window": (-640, 640), "sequence_filters": (8,), "module_dense": 6, "joint": (5,)},
}


@pytest.fixture(params=SMALL)
def keras_adam(request):
    """Return a function that makes the optimizer of a solution for one weight."""
    solution = load_solution(SOLUTIONS / request.param)
    optimizer, _ = solution.Model(solution.Config(**SMALL[request.param]), SHAPES).optimizer(10)
    return lambda weight: type(optimizer)([weight], lr=1e-3)


def as_keras(gradients: np.ndarray) -> np.ndarray:
    """gradients (steps, n): the weights that Keras's formula makes of zeros."""
    weight, first, second = np.zeros((3, gradients.shape[1]))
    for step, gradient in enumerate(gradients, start=1):
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        rate = 1e-3 * math.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        weight = weight - rate * first / (np.sqrt(second) + 1e-7)
    return weight


class Calls(TorchDispatchMode):
    """Note the names of all operators that are called."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.name().partition(".")[0])
        return func(*args, **(kwargs or {}))


def take_steps(weight, optimizer, gradients: np.ndarray) -> np.ndarray:
    for gradient in gradients:
        weight.grad = torch.from_numpy(gradient)
        optimizer.step()
    return weight.detach().numpy()


def test_it_steps_as_keras_does_for_gradients_of_every_size(keras_adam):
    gradients = np.random.default_rng(0).normal(size=(20, 90)) * np.logspace(-9, 0, 90)
    weight = nn.Parameter(torch.zeros(90, dtype=torch.float64))
    stepped = take_steps(weight, keras_adam(weight), gradients)
    np.testing.assert_allclose(stepped, as_keras(gradients), rtol=1e-9)


def test_it_continues_from_its_saved_state(keras_adam):
    gradients = np.random.default_rng(0).normal(size=(20, 9)) * 1e-7
    weight = nn.Parameter(torch.zeros(9, dtype=torch.float64))
    first, second = keras_adam(weight), keras_adam(weight)
    take_steps(weight, first, gradients[:8])
    second.load_state_dict(first.state_dict())
    np.testing.assert_allclose(take_steps(weight, second, gradients[8:]), as_keras(gradients), rtol=1e-9)


def test_it_reads_no_number_back_from_the_device(keras_adam):
    """On a GPU each such read would wait for all that is queued."""
    optimizer = keras_adam(weight := nn.Parameter(torch.zeros(9)))
    weight.grad = torch.ones(9)
    with Calls() as calls:
        optimizer.step()
        optimizer.step()
    assert "aten::_fused_adam_" in calls.names and "aten::_local_scalar_dense" not in calls.names


def test_the_copies_are_the_same():
    one, *others = (path.read_bytes() for path in SOLUTIONS.glob("*/adam.py"))
    assert others == [one]
