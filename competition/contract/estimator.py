"""Clauses of the contract that hold for an Estimator."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import set_seed

from competition.contract.subject import (
    Skip,
    Subject,
    agree,
    agree_one_by_one,
    fault_of_predictions,
    make_batches,
    refusals_shown,
)
from competition.training import checkpoint
from competition.training.cross_validation import collapsed
from competition.training.estimator_fold import arrays, fit_estimator
from competition.training.solution import shapes

FIT_ROWS = 256


def _fitted(subject: Subject, target: np.ndarray | None = None) -> Any:
    """Fit an Estimator to the rows as a run does, or to other targets (N, T)."""
    assert subject.solution.Estimator is not None and subject.challenge.train.target is not None
    set_seed(0)
    wanted, arrays = shapes(subject.config, subject.challenge.declaration), _arrays(subject, subject.rows)
    weight = None if subject.challenge.train.weight is None else np.ones(len(subject.rows), dtype=np.float32)
    if target is None:
        target = np.array(subject.challenge.train.target[subject.rows])
    with refusals_shown(subject.solution):
        estimator = subject.solution.Estimator(subject.config, wanted)
        fit_estimator(estimator, arrays, target, weight)
    return estimator


def _arrays(subject: Subject, rows: np.ndarray) -> dict[str, np.ndarray]:
    return arrays(make_batches(subject, subject.input_names), rows)


def check_fit(subject: Subject) -> str:
    total = len(subject.challenge.train)
    subject.rows = np.random.default_rng(0).choice(total, min(total, FIT_ROWS), replace=False)
    subject.model = _fitted(subject)
    subject.predictions = _predicted(subject.model, subject)
    return fault_of_predictions(subject.predictions, (len(subject.rows), subject.num_targets))


def _predicted(estimator: Any, subject: Subject) -> np.ndarray:
    return np.asarray(estimator.predict(_arrays(subject, subject.rows)))


def check_variation(subject: Subject) -> str:
    assert subject.challenge.train.target is not None
    if not collapsed(subject.predictions, np.asarray(subject.challenge.train.target[subject.rows])):
        return ""
    easy = _easy_target(subject)
    if easy.std() and not collapsed(_predicted(_fitted(subject, easy), subject), easy):
        raise Skip(
            f"all {len(subject.rows)} rows that were tried get the same prediction, though a target made of "
            "their GC content does not: perhaps no signal"
        )
    return "all rows get the same prediction. Likely: features that are never computed"


def _easy_target(subject: Subject) -> np.ndarray:
    """Return targets (N, T) that anything which reads the inputs can predict: GC content, and their sums."""
    arrays = _arrays(subject, subject.rows)
    columns = [((arrays["sequence"] == 1) | (arrays["sequence"] == 2)).mean(axis=1, dtype=np.float64)]
    columns += [values.reshape(len(values), -1).sum(axis=1) for values in list(arrays.values())[1:]]
    total = sum((each - each.mean()) / (each.std() or 1) for each in columns)
    return np.repeat(np.asarray(total, dtype=np.float32)[:, None], subject.num_targets, axis=1)


def check_seed(subject: Subject) -> str:
    again = np.asarray(_fitted(subject).predict(_arrays(subject, subject.rows)))
    if not np.array_equal(subject.predictions, again):
        return (
            "fitting again gives other predictions. Likely: default_rng() or random_state=None; wanted a "
            "fixed seed, or numpy's global generator, which the harness seeds"
        )
    return ""


def check_row_independence(subject: Subject) -> str:
    rows = subject.few[:, None]
    singly = [np.asarray(subject.model.predict(_arrays(subject, row))) for row in rows]
    if not agree_one_by_one(subject.predictions, singly):
        return (
            "the prediction of a row depends on other rows in the batch. Likely: features scaled by "
            "statistics of the batch"
        )
    return ""


def check_save_and_load(subject: Subject) -> str:
    state = {name: torch.from_numpy(np.array(v)) for name, v in subject.model.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        checkpoint.save(path, state, durable=False)
        loaded = {name: value.numpy() for name, value in checkpoint.load(path).items()}
    assert subject.solution.Estimator is not None
    other = subject.solution.Estimator(subject.config, shapes(subject.config, subject.challenge.declaration))
    other.load_state_dict(loaded)
    if not agree(subject.predictions, np.asarray(other.predict(_arrays(subject, subject.rows)))):
        return (
            "an Estimator restored by load_state_dict predicts other values. Likely: something is missing "
            "from state_dict"
        )
    return ""
