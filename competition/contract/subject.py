"""The solution that is checked, and what the clauses of the contract share."""

import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from competition.base.errors import InputError
from competition.data.challenge import Challenge
from competition.training.batches import Batches
from competition.training.network import Network
from competition.training.recipe import Recipe
from competition.training.solution import Solution

FEW_ROWS = 5  # for all but overfitting; an uncommon size, so that no other axis is taken for the rows
# What wrong code of a solution raises. Anything else, such as an interrupt, is not a fault.
FAULTS = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError, OSError,
    RuntimeError, TypeError, ValueError,
)  # fmt: skip


class Clause(NamedTuple):
    """A clause of the contract; it is checked where the clauses that it needs have passed."""

    name: str
    find_fault: Callable[["Subject"], str]  # returns a message, or "" where there is no fault
    needs: tuple[str, ...] = ()
    advisory: bool = False  # a fault is a warning


class Outcome(NamedTuple):
    """Whether a solution passed a clause, and the fault if not; one that passed with a message is warned."""

    clause: str
    passed: bool | None  # None: not checked, and the message says why
    message: str = ""


class Skip(Exception):
    """Raised where a clause cannot be checked, with the reason."""


class Refusal(InputError):
    """What a solution says where a challenge or a setting is not for it: no fault of the solution."""


@dataclass
class Subject:
    """The solution that is checked, and what one check leaves for the next."""

    solution: Solution
    challenge: Challenge
    config: Any
    device: torch.device
    seconds: float
    rows: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    model: Any = None
    other: Any = None  # the same model of another seed
    start: dict[str, Tensor] = field(default_factory=dict)  # the weights that overfitting begins with
    predictions: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    outputs: Any = None  # of the model in training mode, for the few rows
    loss: Tensor | None = None
    step_seconds: float = 0.0

    @property
    def num_targets(self) -> int:
        return len(self.challenge.declaration.targets)

    @property
    def input_names(self) -> tuple[str, ...]:
        return self.solution.input_names(self.challenge.declaration)

    @property
    def few(self) -> np.ndarray:
        return self.rows[:FEW_ROWS]

    def batch(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Return the inputs and "target" of these rows on the device.

        Where rows have weights, "weight" is 1 for each: a row without weight could not be overfitted.
        """
        assert self.challenge.train.target is not None
        inputs = make_batches(self, self.input_names).inputs(rows)
        inputs["target"] = torch.from_numpy(np.array(self.challenge.train.target[rows]))
        if self.challenge.train.weight is not None:
            inputs["weight"] = torch.ones(len(rows))
        return {name: value.to(self.device) for name, value in inputs.items()}


def make_batches(subject: Subject, names: Sequence[str], config: Any = None) -> Batches:
    """Serve the training rows as a Config wants them, by default the subject's."""
    recipe = Recipe.of(subject.config if config is None else config)
    return Batches(subject.challenge.train, subject.challenge.declaration, recipe, names, torch.device("cpu"))


@torch.no_grad()
def predict(model: Any, batch: dict[str, Tensor]) -> np.ndarray:
    model.eval()
    outputs = model(**inputs_of(batch))
    return np.asarray(Network(model).predict(outputs).cpu())


def inputs_of(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in batch.items() if name not in ("target", "weight")}


def fault_of_predictions(predictions: np.ndarray, wanted: tuple[int, int]) -> str:
    """Return what is wrong with the shape or the values of predictions, or ""."""
    if predictions.shape != wanted:
        return (
            f"predictions have shape {predictions.shape}; wanted {wanted}, rows and targets. "
            "Likely: an extra squeeze(), a last layer of another size, or outputs that need a predict()"
        )
    if not np.isfinite(predictions).all():
        return "predictions are not finite. Likely: a logarithm of zero, a division by zero, or an overflow"
    return ""


def agree(predictions: np.ndarray, others: np.ndarray) -> bool:
    """Return whether two predictions agree up to rounding, which grows with their size."""
    if predictions.shape != others.shape:
        return False
    allowed = 0.05 * predictions.std(axis=0) + 1e-5 * np.abs(predictions).max()
    return bool((np.abs(predictions - others) <= allowed).all())


def agree_one_by_one(predictions: np.ndarray, singly: Sequence[np.ndarray]) -> bool:
    """Return whether the first rows (N, T) agree with their predictions in batches of one [(1, T), ...]."""
    one_by_one = predictions.copy()
    one_by_one[: len(singly)] = np.concatenate(singly)
    return agree(predictions, one_by_one)


@contextmanager
def refusals_shown(solution: Solution) -> Iterator[None]:
    """Raise Refusal for a ValueError of a raise statement of the solution, not of a library that it calls."""
    try:
        yield
    except ValueError as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        if Path(frame.filename).is_relative_to(solution.folder) and re.search(r"\braise\b", frame.line or ""):
            raise Refusal(f"{solution.name}: {error}") from error
        raise


def describe_error(error: BaseException, folder: Path) -> str:
    """Describe an exception, with the line of the solution that it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    where = f"{Path(own[-1].filename).name}, line {own[-1].lineno}: " if own else ""
    return f"{where}{type(error).__name__}: {error}"


def name_few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
