"""Batch norm whose statistics are those of the batch of all processes, on CPUs as on GPUs.

torch's SyncBatchNorm refuses CPUs and replaces layers, so that a solution's own kind of batch norm would lose
what is its own. Here layers stay what they are; while one trains, `functional.batch_norm` is the one below.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from accelerate.utils import gather, reduce
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.overrides import TorchFunctionMode


def synchronise(core: nn.Module) -> None:
    """Let every layer with running statistics take those of its batch over all processes, in training."""
    for module in core.modules():
        if hasattr(module, "running_mean"):
            module.forward = partial(_forward, module, module.forward)


def _forward(module: nn.Module, forward: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
    if not module.training:  # where processes predict different numbers of batches, and none may wait
        return forward(*args, **kwargs)
    with _OverProcesses():
        return forward(*args, **kwargs)


class _OverProcesses(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        function = batch_norm if function is functional.batch_norm else function
        return function(*args, **(kwargs or {}))


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Do what torch's function of this name does, on x (B, C, ...) of all processes together."""
    if not training:
        return functional.batch_norm(x, running_mean, running_var, weight, bias, eps=eps)
    with torch.no_grad():
        count, mean, variance = statistics(x)
        if running_mean is not None and running_var is not None:
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((variance * count / (count - 1)).to(running_var.dtype), momentum)
    weight = torch.ones_like(mean) if weight is None else weight
    bias = torch.zeros_like(mean) if bias is None else bias
    normalised: Tensor = _Normalise.apply(x, weight, bias, count, mean, variance, eps)
    return normalised


def statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return count (), mean (C,) and biased variance (C,) of x (B, C, ...) over all processes.

    In float32 at least. Deviations are from each process's own mean, which no large mean can drown (Chan,
    Golub and LeVeque 1983).
    """
    values = _exact(x)
    count = values.new_full((1,), x.numel() // x.shape[1])
    mean = values.mean(_but_channels(x))
    squares = (values - _along(mean, x)).square_().sum(_but_channels(x))
    parts = gather(torch.cat([count, mean, squares])[None])  # (processes, 1 + 2 C)
    counts, means, squares = parts.split([1, len(mean), len(mean)], dim=1)
    total = counts.sum()
    mean = (counts * means).sum(0) / total
    return total, mean, (squares + counts * (means - mean).square()).sum(0) / total


class _Normalise(torch.autograd.Function):
    """Normalise by the statistics of all processes, to which x of this process contributed."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        count: Tensor,
        mean: Tensor,
        variance: Tensor,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, count, mean, (variance + eps).rsqrt())
        weight, bias = weight.to(mean.dtype), bias.to(mean.dtype)
        return functional.batch_norm(x, mean, variance, weight, bias, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the sum of all losses; DDP adds up those of weight and bias."""
        x, weight, count, mean, inverse = ctx.saved_tensors
        gradient = _exact(gradient)
        normal = (_exact(x) - _along(mean, x)) * _along(inverse, x)
        of_bias = gradient.sum(_but_channels(x))
        of_weight = (gradient * normal).sum(_but_channels(x))
        # Every process's loss depends on x through the mean and the variance.
        through_mean, through_variance = (reduce(torch.stack([of_bias, of_weight]), "sum") / count).unbind()
        of_x = gradient - _along(through_mean, x) - normal * _along(through_variance, x)
        return (of_x * _along(inverse * weight, x)).to(x.dtype), of_weight, of_bias, None, None, None, None


def _exact(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _but_channels(x: Tensor) -> list[int]:
    return [axis for axis in range(x.dim()) if axis != 1]


def _along(values: Tensor, x: Tensor) -> Tensor:
    """Return values (C,) in a shape that broadcasts over x (B, C, ...)."""
    return values.view(1, -1, *[1] * (x.dim() - 2))
