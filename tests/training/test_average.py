"""The average of a model's weights is that of the plain formula, for weights of any kind."""

import pytest
import torch
from torch import nn

from competition.training.average import Average, copy_state


def shared() -> nn.Module:
    block = nn.Linear(4, 4)
    return nn.Sequential(block, nn.BatchNorm1d(4), nn.GELU(), block)


def computed() -> nn.Module:
    return nn.Sequential(torch.nn.utils.weight_norm(nn.Linear(4, 4)))


def train(module: nn.Module, average: Average, num_steps: int) -> list[dict[str, torch.Tensor]]:
    """Take steps; return the weights before the first and after each."""
    weights, optimizer = [copy_state(module)], torch.optim.SGD(module.parameters(), lr=0.1)
    for step in range(num_steps):
        module(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        average.update(step)
        weights.append(copy_state(module))
    return weights


@pytest.mark.filterwarnings("ignore:.*weight_norm")
@pytest.mark.parametrize("make", [shared, computed])
def test_each_weight_is_averaged_once_a_step_whatever_its_names_and_however_it_is_made(make):
    torch.manual_seed(0)
    module = make()
    average = Average(module, 0.9)
    first, *after = train(module, average, num_steps=120)  # long enough for the decay to reach its limit
    for name, value in average.state.items():
        expected = first[name].double()
        for step, weights in enumerate(after):
            decay = min(0.9, (1 + step) / (10 + step))
            expected = decay * expected + (1 - decay) * weights[name].double()
        counted = after[-1][name]
        torch.testing.assert_close(value, expected.float() if value.is_floating_point() else counted)


def test_averaged_weights_are_in_place_for_a_while():
    torch.manual_seed(0)
    module = shared()
    average = Average(module, 0.9)
    last = train(module, average, num_steps=3)[-1]
    with average.in_place():
        torch.testing.assert_close(copy_state(module), average.state, rtol=0, atol=0)
    torch.testing.assert_close(copy_state(module), last, rtol=0, atol=0)
