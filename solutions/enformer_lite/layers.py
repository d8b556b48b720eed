"""The convolutional layers of Enformer-lite. Shapes: (B, C, 1, L), channels-last in memory."""

import math

import torch
from timm.layers import Conv2dSame, create_act_layer
from torch import Tensor, nn
from torch.nn import functional


class Pool(nn.Module):
    """Max-pool two positions, padded on the right with minus infinity as TensorFlow's "same" does.

    Stride 1 keeps the length, stride 2 halves it, rounding up.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 2:
            return functional.max_pool2d(x, (1, 2), ceil_mode=True)  # keeps an incomplete last pool
        # Written out because overlapping pools have no deterministic gradient on a GPU.
        return torch.maximum(x, functional.pad(x[..., 1:], (0, 1), value=-math.inf))


class Residual(nn.Module):
    """Add a module's output to its input."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return x + self.module(x)


def gelu() -> nn.Module:
    """Return x sigmoid(1.702 x), Enformer's approximation; neither form of nn.GELU is equal to it."""
    return create_act_layer("quick_gelu")


def convolution(channels: int, filters: int, kernel: int) -> Conv2dSame:
    """Return a convolution that keeps the length: an even kernel reads one base more on the right."""
    return Conv2dSame(channels, filters, (1, kernel))


def conv_block(channels: int, filters: int, kernel: int) -> nn.Sequential:
    """Return batch norm -> GELU -> convolution: the activation comes first."""
    norm = nn.BatchNorm2d(channels, eps=1e-5, momentum=0.1)
    return nn.Sequential(norm, gelu(), convolution(channels, filters, kernel))


def stem(channels: int, filters: int, kernel: int) -> nn.Sequential:
    first, pointwise = convolution(channels, filters, kernel), conv_block(filters, filters, 1)
    return nn.Sequential(first, Residual(pointwise), Pool(stride=1))


def tower_stage(channels: int, filters: int, kernel: int) -> nn.Sequential:
    first, pointwise = conv_block(channels, filters, kernel), conv_block(filters, filters, 1)
    return nn.Sequential(first, Residual(pointwise), Pool(stride=2))


def tower_filters(first: int, last: int, *, num_stages: int, multiple: int) -> list[int]:
    """Return num_stages filter counts that grow geometrically, rounded to a multiple (halves to even)."""
    factor = (last / first) ** (1 / (num_stages - 1))
    return [max(1, round(first * factor**stage / multiple)) * multiple for stage in range(num_stages)]
