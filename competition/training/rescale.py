"""Fit the outputs of a model that was trained on other targets to new ones: a factor and an offset each."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from competition.training.batches import Batches
from competition.training.network import Network

ROWS = 512  # that the factor and the offset are fitted to
STEPS = 10  # of Gauss-Newton; the first is exact where predictions are linear in the outputs
PROGRESS = 1e-3  # of the error that a step must gain to be followed by another


class Outputs(NamedTuple):
    """What the head of a model puts out, and what becomes of it."""

    outputs: np.ndarray  # (N, T), as the head has them
    predictions: np.ndarray  # (N, T), with the factors and offsets
    slope: np.ndarray  # (N, T): of a prediction in its output


def fit_head(network: Network, name: str, batches: Batches, rows: np.ndarray) -> str:
    """Multiply and shift the outputs of a linear layer so that predictions have the least squared error.

    Returns what was done, in words.
    """
    layer = network.core.get_submodule(name)
    if not isinstance(layer, nn.Linear) or layer.bias is None or batches.store.target is None:
        return f"{name} keeps the scale of the other run's targets: it is no linear layer with a bias"
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), ROWS)).astype(np.int64)]
    target = np.asarray(batches.store.target[rows], float)
    network.core.to(batches.device).eval()
    fitted = _fit(network, layer, batches, rows, target)
    if fitted is None:
        return f"{name} keeps the scale of the other run's targets: predictions do not follow its outputs"
    factor, offset = (torch.from_numpy(each).to(layer.weight) for each in fitted)
    with torch.no_grad():
        layer.weight.mul_(factor[:, None])
        layer.bias.mul_(factor).add_(offset)
    pairs = ", ".join(f"times {a:.3g}, then {b:+.3g}" for a, b in zip(*fitted, strict=True))
    return f"outputs of {name} fitted to the targets: {pairs}"


def _fit(
    network: Network, layer: nn.Linear, batches: Batches, rows: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the factors (T,) and offsets (T,) of the outputs; None where predictions do not follow them."""
    count = target.shape[1]
    best, least = None, np.inf
    factor, offset = np.ones(count), np.zeros(count)
    for _ in range(STEPS):
        found = _pass(network, layer, batches, rows, factor, offset)
        if found is None or not np.isfinite(found.predictions).all():
            return best
        error = float((((target - found.predictions) ** 2).mean(0) / np.maximum(target.var(0), 1e-12)).sum())
        if not error < least * (1 - PROGRESS):
            return best
        best, least = (factor, offset), error
        step = _step(found, target - found.predictions)
        factor, offset = factor + step[0], offset + step[1]
        if np.allclose(found.slope, found.slope[:1], rtol=1e-4):
            return factor, offset
    return best


def _step(found: Outputs, residual: np.ndarray) -> np.ndarray:
    """Return what to add to the factors and offsets (2, T): the least squares of the residual (N, T)."""
    columns = zip(found.outputs.T, found.slope.T, residual.T, strict=True)
    steps = [np.linalg.lstsq(np.stack([d * z, d], 1), r, rcond=None)[0] for z, d, r in columns]
    return np.stack(steps, axis=1)


def _pass(
    network: Network, layer: nn.Linear, batches: Batches, rows: np.ndarray, factor: np.ndarray,
    offset: np.ndarray,
) -> Outputs | None:  # fmt: skip
    """Predict the rows with factors and offsets; None where predictions are not one for each output."""
    parts = []
    for part in np.array_split(rows, -(-len(rows) * batches.width // 2**18)):
        inputs = batches.inputs(part)
        parts.append(_pass_batch(network, layer, inputs, (len(part), len(factor)), factor, offset))
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        return None
    return Outputs(*(np.concatenate(each).astype(float) for each in zip(*found, strict=True)))


def _pass_batch(
    network: Network, layer: nn.Linear, inputs: dict[str, Tensor], wanted: tuple[int, int],
    factor: np.ndarray, offset: np.ndarray,
) -> Outputs | None:  # fmt: skip
    seen: list[Tensor] = []

    def adjust(_: nn.Module, __: Any, outputs: Tensor) -> Tensor:
        scale, shift = (torch.from_numpy(each).to(outputs) for each in (factor, offset))
        seen.extend([outputs.detach(), (outputs.detach() * scale + shift).requires_grad_()])
        torch.set_grad_enabled(True)  # from here on: the network before it needs no gradient
        return seen[-1]

    handle = layer.register_forward_hook(adjust)
    try:
        with torch.no_grad():  # which sets it back
            predictions = network.predict(network.core(**inputs))
    finally:
        handle.remove()
    if len(seen) != 2 or not wanted == seen[0].shape == predictions.shape or not predictions.requires_grad:
        return None
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(predictions.sum(), seen[1])
    return Outputs(*(value.detach().cpu().numpy() for value in (seen[0], predictions, slope)))
