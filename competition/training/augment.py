"""Augmentations: functions of the tokens (B, W) that training rows show, drawn from (seed, epoch, row)."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from competition.data.tokens import COMPLEMENT
from competition.training import randomness
from competition.training.recipe import Recipe


class Draws(NamedTuple):
    """The random numbers of some rows in an epoch: the same in any batch, process or resumed run.

    A purpose is any name; draws for different purposes are independent, and those for different sequences.
    """

    rows: np.ndarray
    seed: int
    epoch: int
    sequence: str = "sequence"  # whose tokens are augmented

    @property
    def of_row(self) -> "Draws":
        """The draws that all sequences of a row share."""
        return self._replace(sequence="sequence")

    def integers(self, low: int, high: int, purpose: str) -> np.ndarray:
        """Draw one integer in [low, high] for each row: (B,) int64."""
        return randomness.draw_integers(
            self.rows, low=low, high=high, purpose=self._own(purpose), seed=self.seed, epoch=self.epoch
        )

    def fractions(self, count: int, purpose: str) -> np.ndarray:
        """Draw count numbers in [0, 1) for each row: (B, count) float64."""
        return randomness.draw_fractions(
            self.rows, count, purpose=self._own(purpose), seed=self.seed, epoch=self.epoch
        )

    def _own(self, purpose: str) -> str:
        return purpose if self.sequence == "sequence" else f"{purpose} of {self.sequence}"


Augmentation = Callable[[Tensor, Draws], Tensor]


def augmentations(recipe: Recipe) -> list[Augmentation]:
    """Return what a recipe does to the tokens of a training row; the shift is where they are read."""
    chosen: list[Augmentation] = []
    if recipe.reverse_complement:
        chosen.append(reverse_complement)
    if recipe.mutate > 0:
        chosen.append(partial(mutate, recipe.mutate))
    return chosen


def reverse_complement(tokens: Tensor, draws: Draws) -> Tensor:
    """Show the other strand of every second row, on average: of all its sequences."""
    return flip(tokens, draws.of_row.integers(0, 1, "strand"))


def mutate(share: float, tokens: Tensor, draws: Draws) -> Tensor:
    """Replace a share of the bases by another of A, C, G and T; what is none of these stays."""
    drawn = torch.from_numpy(draws.fractions(tokens.shape[1], "mutate")).to(tokens.device)
    step = 1 + (3 * drawn / share).clamp(max=2).to(tokens.dtype)  # below the share: 1, 2 or 3
    return torch.where((drawn < share) & (tokens < 4), (tokens + step) % 4, tokens)


def flip(tokens: Tensor, strand: np.ndarray) -> Tensor:
    """Return the reverse complement of the rows whose strand (B,) is 1."""
    other = torch.from_numpy(strand).to(tokens.device)[:, None] == 1
    return torch.where(other, _complement(tokens.device)[tokens.int()].flip(1), tokens)


@lru_cache
def _complement(device: torch.device) -> Tensor:
    return torch.from_numpy(COMPLEMENT).to(device)
