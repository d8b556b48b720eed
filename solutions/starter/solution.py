"""The smallest network worth copying: three convolutions, a summary over positions, a linear head."""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Config:
    """What can be set from outside, with its default: `--set filters=128`, or `search` below."""

    challenge: str = "promoters"  # any other one: --challenge NAME
    window: tuple[int, int] = (0, 112)  # the bases the model sees, counted from the challenge's origin
    encoding: str = "acgt"  # one plane a letter; unknown letters and padding are all zeros
    shift: tuple[int, int] = (-3, 3)  # in training each row's window moves by a random offset: free data
    batch_size: int = 64
    epochs: int = 6
    filters: int = 128
    kernel: int = 9
    dropout: float = 0.2
    learning_rate: float = 2e-3

    @classmethod
    def search(cls, trial):
        """Say what tuning may draw (an Optuna trial); all else keeps its default."""
        return cls(
            filters=trial.suggest_int("filters", 64, 256, step=64),
            kernel=trial.suggest_int("kernel", 5, 15, step=2),
            dropout=trial.suggest_float("dropout", 0, 0.5),
            learning_rate=trial.suggest_float("learning_rate", 3e-4, 6e-3, log=True),
        )


class Model(nn.Module):
    def __init__(self, config, challenge):  # `challenge` says what goes in and what must come out
        super().__init__()
        self.config = config
        channels, layers = challenge.inputs["sequence"][0], []
        for _ in range(3):
            layers += [nn.Conv1d(channels, config.filters, config.kernel, padding="same")]
            layers += [nn.BatchNorm1d(config.filters), nn.GELU(), nn.Dropout(config.dropout)]
            channels = config.filters
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(2 * config.filters, len(challenge.targets))

    def forward(self, sequence):  # (B, 4, L): an argument's name asks for the input of that name
        x = self.body(sequence)  # (B, F, L)
        # The mean tells how much of a motif there is, the maximum how good the best is; any length will do.
        return self.head(torch.cat([x.mean(2), x.amax(2)], dim=1))  # (B, T), in the target's unit

    def initialize(self, target):  # called once, with the training targets (N, T): start from their mean
        self.head.bias.copy_(target.mean(0))

    def optimizer(self, num_steps):  # leave it out, and you get AdamW with a one-cycle schedule like this one
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.config.learning_rate)
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, optimizer.defaults["lr"], num_steps)
