"""A solution's Model with what it may leave out: initialize, loss, predict, optimizer."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from competition.training.augment import Augmentation
from competition.training.batches import Batches

INITIAL_ROWS = 4096  # that initialize(inputs, target) is shown at most
LEARNING_RATE = 1e-3  # of the default optimizer


class Network:
    """A Model whose every part can be called: its own, or the harness's default."""

    def __init__(self, core: Any) -> None:
        self.core = core

    @property
    def augmentations(self) -> Sequence[Augmentation]:
        """The model's own functions of (tokens, draws), applied after those of the recipe."""
        own: Sequence[Augmentation] = getattr(self.core, "augmentations", ())
        return own

    @torch.no_grad()
    def initialize(self, batches: Batches, rows: np.ndarray) -> None:
        """Show the model its training rows: initialize(target), or initialize(inputs, target).

        Inputs by name are of INITIAL_ROWS rows at most, evenly spaced, and the target (N, T) is of the same.
        """
        if not hasattr(self.core, "initialize"):
            return
        assert batches.store.target is not None
        arguments = []
        if len(inspect.signature(self.core.initialize).parameters) > 1:
            rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), INITIAL_ROWS)).astype(np.int64)]
            arguments = [{name: value.cpu() for name, value in batches.inputs(rows).items()}]
        self.core.initialize(*arguments, torch.from_numpy(np.array(batches.store.target[rows])))

    def loss(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the model's loss, or the mean squared error, weighted where rows have weights."""
        if hasattr(self.core, "loss"):
            loss: Tensor = self.core.loss(outputs, batch)
            return loss
        if "weight" not in batch:
            return functional.mse_loss(outputs.float(), batch["target"])
        error = functional.mse_loss(outputs.float(), batch["target"], reduction="none")
        # Not over the sum of the weights here: their mean is 1 over all rows, whatever a batch has of them.
        return (batch["weight"] * error.mean(1)).mean()

    def predict(self, outputs: Any) -> Tensor:
        """Return predictions (B, T) float32 in the target's unit."""
        predictions: Tensor = self.core.predict(outputs) if hasattr(self.core, "predict") else outputs
        return predictions.float()

    def optimizer(self, num_steps: int) -> tuple[Optimizer, LRScheduler | None]:
        """Return the model's (optimizer, scheduler), or AdamW on a one-cycle schedule."""
        if hasattr(self.core, "optimizer"):
            own: tuple[Optimizer, LRScheduler | None] = self.core.optimizer(num_steps)
            return own
        optimizer = torch.optim.AdamW(self.core.parameters(), lr=LEARNING_RATE)
        return optimizer, OneCycleLR(optimizer, LEARNING_RATE, total_steps=num_steps)
