"""Batch norm over all processes is torch's of all their rows; on several processes: test_solutions."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from competition.training.batch_norm import batch_norm, statistics, synchronise

SHAPES = [(7, 3), (5, 3, 4), (4, 3, 2, 6)]


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def learn(function, x: torch.Tensor) -> list[torch.Tensor]:
    """Return the outputs, the running statistics and the gradients of a function like batch_norm."""
    x, weight, bias = (each.requires_grad_() for each in (x.clone(), draw(3, seed=1), draw(3, seed=2)))
    mean, variance = draw(3, seed=3), draw(3, seed=4).exp()
    y = function(x, mean, variance, weight, bias, training=True, momentum=0.3, eps=1e-3)
    (y * draw(*y.shape, seed=5)).sum().backward()
    return [y.detach(), mean, variance, x.grad, weight.grad, bias.grad]


@pytest.mark.parametrize("shape", SHAPES)
def test_on_one_process_outputs_statistics_and_gradients_are_those_of_torch(shape):
    for ours, theirs in zip(
        learn(batch_norm, draw(*shape)), learn(functional.batch_norm, draw(*shape)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_statistics_of_bfloat16_are_computed_in_float32_and_a_large_mean_drowns_nothing():
    x = (draw(64, 3, 50) + 100).bfloat16()
    _, mean, variance = statistics(x)
    np.testing.assert_allclose(mean, x.double().mean((0, 2)), rtol=1e-6)
    np.testing.assert_allclose(variance, x.double().var((0, 2), correction=0), rtol=1e-5)
    assert batch_norm(x, None, None, training=True).dtype == torch.bfloat16


def test_a_layer_that_is_synchronised_keeps_its_names_and_predicts_the_same():
    x, plain = draw(5, 3, 4).float(), nn.BatchNorm1d(3)
    plain(x)
    same = copy.deepcopy(plain)
    synchronise(same)
    assert list(same.state_dict()) == list(plain.state_dict())
    assert torch.equal(same.eval()(x), plain.eval()(x))
