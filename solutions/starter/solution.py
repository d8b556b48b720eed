"""The smallest network worth copying: three convolutions, pooling over all positions, a linear head."""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Config:
    """Hold every setting with its default; `--set filters=128` changes one."""

    challenge: str = "promoters"  # any other one: --challenge NAME
    window: tuple[int, int] | None = None  # bases [start, stop) from the challenge's origin; None: all
    encoding: str = "acgt"  # one channel per letter; unknown letters and padding are all zeros
    shift: tuple[int, int] = (-3, 3)  # augmentation: in training each window moves by a random offset
    batch_size: int = 64
    epochs: int = 6
    filters: int = 128
    kernel: int = 9
    dropout: float = 0.2
    learning_rate: float = 2e-3

    @classmethod
    def search(cls, trial):
        """Draw from an Optuna trial what tuning may change; all else keeps its default."""
        return cls(
            filters=trial.suggest_int("filters", 64, 256, step=64),
            kernel=trial.suggest_int("kernel", 5, 15, step=2),
            dropout=trial.suggest_float("dropout", 0, 0.5),
            learning_rate=trial.suggest_float("learning_rate", 3e-4, 6e-3, log=True),
        )


class Model(nn.Module):
    def __init__(self, config, shapes):  # the shape of each input of a row, and the target names
        super().__init__()
        self.config = config
        channels, layers = shapes.inputs["sequence"][0], []
        for _ in range(3):
            layers += [nn.Conv1d(channels, config.filters, config.kernel, padding="same")]
            layers += [nn.BatchNorm1d(config.filters), nn.GELU(), nn.Dropout(config.dropout)]
            channels = config.filters
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(2 * config.filters, len(shapes.targets))

    def forward(self, sequence):  # (B, 4, L); an argument receives the input of its name
        x = self.body(sequence)  # (B, F, L)
        # The mean measures how often a motif occurs, the maximum how well its best site matches.
        return self.head(torch.cat([x.mean(2), x.amax(2)], dim=1))  # (B, T), in the target's unit

    def initialize(self, target):  # called once, with the training targets (N, T): start at their mean
        self.head.bias.copy_(target.mean(0))

    def optimizer(self, num_steps):  # optional: the default is AdamW with a one-cycle schedule, like this
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.config.learning_rate)
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, optimizer.defaults["lr"], num_steps)
