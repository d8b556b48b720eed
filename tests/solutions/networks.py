"""What the tests of several networks share."""

import torch
from torch import nn
from torch.nn import functional


def count(module: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def one_hot(rows: int, width: int, channels: int = 4, seed: int = 0) -> torch.Tensor:
    """Return random sequences (rows, channels, width)."""
    letters = torch.randint(channels, (rows, width), generator=torch.Generator().manual_seed(seed))
    return functional.one_hot(letters, channels).transpose(1, 2).float()
