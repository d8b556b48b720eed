"""The convolutional pieces of Enformer-lite. Shapes: (B, C, 1, L), channels-last in memory."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

# A normal cut at two standard deviations has this one; variance scaling divides by it.
TRUNCATED_STD = 0.87962566103423978


class Gelu(nn.Module):
    """Return x sigmoid(1.702 x): Enformer's approximation, which nn.GELU in neither form computes."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(1.702 * x) / 1.702


class Pool(nn.Module):
    """Take the larger of two neighbours, padded on the right with minus infinity as TensorFlow's "same" does.

    With stride 1 the length stays; with stride 2 it is halved, rounding up.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 2:
            return functional.max_pool2d(x, (1, 2), ceil_mode=True)  # a half-filled last window is a window
        # Written out, for overlapping windows have no repeatable gradient on a GPU.
        return torch.maximum(x, functional.pad(x[..., 1:], (0, 1), value=-math.inf))


class Residual(nn.Module):
    """Add a module's output to its input."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return x + self.module(x)


class Convolution(nn.Conv2d):
    """A convolution that keeps the length: an even kernel reads one base more on the right."""

    def __init__(self, channels: int, filters: int, kernel: int) -> None:
        super().__init__(channels, filters, (1, kernel))
        self.margin = ((kernel - 1) // 2, kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, self.margin))


def conv_block(channels: int, filters: int, kernel: int) -> nn.Sequential:
    """Return batch norm -> GELU -> convolution: the activation comes before."""
    return nn.Sequential(
        nn.BatchNorm2d(channels, eps=1e-5, momentum=0.1), Gelu(), Convolution(channels, filters, kernel)
    )


def stem(channels: int, filters: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        Convolution(channels, filters, kernel), Residual(conv_block(filters, filters, 1)), Pool(stride=1)
    )


def tower_stage(channels: int, filters: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        conv_block(channels, filters, kernel), Residual(conv_block(filters, filters, 1)), Pool(stride=2)
    )


def tower_filters(first: int, last: int, *, num_stages: int, multiple: int) -> list[int]:
    """Return num_stages sizes that grow by a constant factor, rounded to a multiple (halves to even)."""
    factor = (last / first) ** (1 / (num_stages - 1))
    return [max(1, round(first * factor**stage / multiple)) * multiple for stage in range(num_stages)]


def draw_truncated(weight: Tensor, std: float) -> None:
    """Fill with a normal of this standard deviation, cut at two of them (so what is drawn has 0.88 of it)."""
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


def draw_scaled(weight: Tensor, *, scale: float, fan_in: int) -> None:
    """Fill with a cut normal whose variance after the cut is scale / fan_in."""
    draw_truncated(weight, math.sqrt(scale / fan_in) / TRUNCATED_STD)
