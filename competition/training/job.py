"""What the training of every fold of a run depends on."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict

import numpy as np
import torch
from accelerate import Accelerator

from competition.data.challenge import Challenge
from competition.data.declaration import Shapes
from competition.data.folds import FoldTable
from competition.data.store import Store
from competition.training.batches import Batches
from competition.training.recipe import Recipe
from competition.training.solution import Solution, shapes
from competition.training.transfer import Transfer


@dataclass(frozen=True)
class Job:
    """All that the training of a fold depends on."""

    solution: Solution
    opened: Challenge
    config: Any
    folds: FoldTable
    folder: Path
    seed: int
    accelerator: Accelerator
    save_seconds: float = 60.0
    quiet: bool = False
    transfer: Transfer | None = None  # of the weights that each fold starts from
    excluded: np.ndarray | None = None  # (N,) bool: training rows that no model is trained on

    @cached_property
    def recipe(self) -> Recipe:
        return Recipe.of(self.config)

    @property
    def shapes(self) -> Shapes:
        return shapes(self.config, self.opened.declaration)

    @property
    def target(self) -> np.ndarray:
        """The targets (N, T) of the training rows."""
        assert self.opened.train.target is not None
        return np.asarray(self.opened.train.target)

    @property
    def input_names(self) -> tuple[str, ...]:
        return self.solution.input_names(self.opened.declaration)

    def fold_folder(self, fold: int) -> Path:
        return self.folder / f"fold{fold}"

    def batches(self, store: Store, device: torch.device | None = None) -> Batches:
        """Return the rows of a store as the solution wants them, on the accelerator's device by default."""
        device = self.accelerator.device if device is None else device
        return Batches(store, self.opened.declaration, self.recipe, self.input_names, device)


class Cost(TypedDict):
    """What the training of a fold cost; of a Model how long it went on, too."""

    num_parameters: int
    train_seconds: float
    rows_trained: int  # over all epochs and starts
    epochs: NotRequired[int]
    best_epoch: NotRequired[int]
    restart_scores: NotRequired[list[float | None]]


class FoldResult(NamedTuple):
    """What the model of a fold predicts, and what it cost."""

    oof: np.ndarray  # (rows of the fold, T) float32
    test: np.ndarray | None  # (M, T)
    cost: Cost
