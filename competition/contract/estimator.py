"""Checks of an Estimator."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import set_seed

from competition.contract.subject import FEW_ROWS, Subject, judge_predictions, make_batches, same
from competition.training import checkpoint
from competition.training.cross_validation import collapsed
from competition.training.estimator_fold import fit_estimator
from competition.training.solution import shapes

FIT_ROWS = 256  # for an Estimator


def _fitted(subject: Subject) -> Any:
    """Fit an Estimator to the rows as a run does."""
    assert subject.solution.Estimator is not None and subject.opened.train.target is not None
    set_seed(0)
    estimator = subject.solution.Estimator(subject.config, shapes(subject.config, subject.opened.declaration))
    weight = None if subject.opened.train.weight is None else np.ones(len(subject.rows), dtype=np.float32)
    target = np.array(subject.opened.train.target[subject.rows])
    fit_estimator(estimator, _arrays(subject, subject.rows), target, weight)
    return estimator


def _arrays(subject: Subject, rows: np.ndarray) -> dict[str, np.ndarray]:
    store = subject.opened.train
    others = {name: np.array(store.inputs[name][rows]) for name in subject.opened.declaration.inputs}
    return {"sequence": make_batches(subject, ["sequence"]).window(rows).numpy(), **others}


def check_fit(subject: Subject) -> str:
    total = len(subject.opened.train)
    subject.rows = np.random.default_rng(0).choice(total, min(total, FIT_ROWS), replace=False)
    subject.model = _fitted(subject)
    subject.predictions = np.asarray(subject.model.predict(_arrays(subject, subject.rows)))
    return judge_predictions(subject.predictions, (len(subject.rows), subject.num_targets))


def check_constant(subject: Subject) -> str:
    assert subject.opened.train.target is not None
    if collapsed(subject.predictions, np.asarray(subject.opened.train.target[subject.rows])):
        return "the rows it was fitted to are all predicted the same. Likely: features that are never filled"
    return ""


def check_seed(subject: Subject) -> str:
    again = np.asarray(_fitted(subject).predict(_arrays(subject, subject.rows)))
    if not np.array_equal(subject.predictions, again):
        return (
            "fitting again gives other predictions. Likely: default_rng() or random_state=None; wanted a "
            "fixed number, or numpy's global generator, which the harness seeds"
        )
    return ""


def check_mates(subject: Subject) -> str:
    few = subject.rows[:FEW_ROWS]
    alone = [np.asarray(subject.model.predict(_arrays(subject, row))) for row in few[:, None]]
    in_company = subject.predictions.copy()
    in_company[: len(few)] = np.concatenate(alone)
    if not same(subject.predictions, in_company):
        return (
            "the prediction of a row depends on its batch-mates. Likely: features scaled by the rows at hand"
        )
    return ""


def check_round_trip(subject: Subject) -> str:
    state = {name: torch.from_numpy(np.array(v)) for name, v in subject.model.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        checkpoint.save(path, state, durable=False)
        loaded = {name: value.numpy() for name, value in checkpoint.load(path).items()}
    assert subject.solution.Estimator is not None
    other = subject.solution.Estimator(subject.config, shapes(subject.config, subject.opened.declaration))
    other.load_state_dict(loaded)
    if not same(subject.predictions, np.asarray(other.predict(_arrays(subject, subject.rows)))):
        return (
            "what load_state_dict restores predicts something else. Likely: state_dict leaves something out"
        )
    return ""
