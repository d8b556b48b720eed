"""Fit an Estimator to the training rows of one fold and predict the rest."""

import inspect
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from accelerate.utils import set_seed

from competition.base.errors import InputError
from competition.data.store import Store
from competition.training import checkpoint, randomness
from competition.training.batches import Batches
from competition.training.checkpoint import WEIGHTS
from competition.training.job import Cost, FoldResult, Job

ROWS_AT_ONCE = 65_536  # whose windows are made together


def run_estimator_fold(job: Job, fold: int, train_rows: np.ndarray, held_out: np.ndarray) -> FoldResult:
    """Fit, predict the held-out and the test rows, and write the weights."""
    assert job.solution.Estimator is not None
    opened, started = job.opened, time.monotonic()
    set_seed(randomness.derive("model", job.seed, fold) % 2**32)
    inputs = _arrays(job, opened.train, train_rows)
    weight = None if opened.train.weight is None else np.asarray(opened.train.weight[train_rows])
    try:
        estimator = job.solution.Estimator(job.config, job.shapes)
        fit_estimator(estimator, inputs, job.target[train_rows], weight)
    except ValueError as error:  # how a solution says that a challenge or a setting is not for it
        raise InputError(f"{job.solution.name}: {error}") from error
    seconds = time.monotonic() - started
    oof = np.asarray(estimator.predict(_arrays(job, opened.train, held_out)), np.float32)
    test = estimator_test(job, estimator) if opened.test is not None else None
    state = {name: torch.from_numpy(np.asarray(value)) for name, value in estimator.state_dict().items()}
    if job.accelerator.is_main_process:
        checkpoint.save(job.fold_folder(fold) / WEIGHTS, state)
    num_parameters = sum(value.numel() for value in state.values())
    cost: Cost = {
        "num_parameters": num_parameters, "train_seconds": seconds, "rows_trained": len(train_rows)
    }  # fmt: skip
    return FoldResult(oof, test, cost)


def fit_estimator(
    estimator: Any, inputs: Mapping[str, np.ndarray], target: np.ndarray, weight: np.ndarray | None
) -> None:
    """Fit an Estimator; one whose fit names a weight gets those of the rows (N,), or None."""
    wants_weight = "weight" in inspect.signature(estimator.fit).parameters
    estimator.fit(inputs, target, **({"weight": weight} if wants_weight else {}))


def estimator_test(job: Job, estimator: Any) -> np.ndarray:
    """Return what a fitted Estimator predicts for the test rows (M, T)."""
    assert job.opened.test is not None
    return np.asarray(estimator.predict(_arrays(job, job.opened.test, np.arange(len(job.opened.test)))))


def load_estimator(job: Job, fold: int) -> Any:
    """Return the Estimator of a finished fold."""
    assert job.solution.Estimator is not None
    estimator = job.solution.Estimator(job.config, job.shapes)
    weights = checkpoint.load(job.fold_folder(fold) / WEIGHTS)
    estimator.load_state_dict({name: value.numpy() for name, value in weights.items()})
    return estimator


def arrays(batches: Batches, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return an Estimator's inputs: windowed tokens (N, W) uint8 of each sequence, and the other arrays."""
    parts = np.array_split(rows, max(1, len(rows) // ROWS_AT_ONCE))
    tokens = {
        name: np.concatenate([window.tokens(part).numpy() for part in parts])
        for name, window in batches.windows.items()
    }
    return {**tokens, **{name: np.asarray(values[rows]) for name, values in batches.store.inputs.items()}}


def _arrays(job: Job, store: Store, rows: np.ndarray) -> dict[str, np.ndarray]:
    return arrays(job.batches(store, torch.device("cpu")), rows)
