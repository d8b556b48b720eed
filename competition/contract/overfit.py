"""The clause of the contract that a Model can overfit 32 rows: one that cannot learns nothing."""

import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from competition.contract.subject import Skip, Subject, inputs_of, predict
from competition.training.network import Network

OVERFITTED = 0.8  # correlation with the target over the rows
IN_UNITS = 0.5  # share of the target's variance explained
RATES = (1e-3, 1e-2, 1e-4)  # of Adam, tried in turn
STEPS_PER_RATE, STEPS_BETWEEN_PREDICTIONS = 1000, 10
PATIENCE, PROGRESS = 200, 0.03  # a rate is given up after so many steps without so much progress
EXPECTED_STEPS = 50  # that a correct model needs, about
UNIT_METRICS = ("mse", "mae", "r2")  # those that depend on the unit of a prediction


class Fit(NamedTuple):
    """How well the rows are fitted, for the target that is fitted worst."""

    correlation: float
    explained: float  # share of the variance, R2


def check_overfitting(subject: Subject) -> str:
    """Train on 32 rows with Adam: the model and its loss are checked here, not its recipe."""
    batch = subject.batch(subject.rows)
    target = batch["target"].cpu().numpy()
    _require_feasible(subject, target)
    _remove_obstacles(subject.model)
    deadline, best = time.monotonic() + subject.seconds, Fit(0.0, -np.inf)
    least = IN_UNITS if _unit_matters(subject) else -np.inf
    for rate in RATES:
        for fit in _train(subject, batch, target, rate):
            if fit.correlation > OVERFITTED and fit.explained > least:
                return ""
            best = max(best, fit)
            if time.monotonic() > deadline:
                raise Skip(
                    f"not overfitted within {subject.seconds:g} s (correlation {best.correlation:.2f}); "
                    f"without a limit: {_command(subject)}"
                )
    return _describe_failure(len(subject.rows), best)


def _require_feasible(subject: Subject, target: np.ndarray) -> None:
    """Raise Skip where the rows cannot be overfitted by any model, or not in time."""
    if len(subject.rows) < 8 or not (target.std(axis=0) > 0).any():
        raise Skip(
            f"{len(subject.rows)} rows with distinct inputs; wanted 8 or more, with targets that differ"
        )
    if subject.step_seconds * EXPECTED_STEPS > subject.seconds:
        raise Skip(
            f"an optimizer step takes {subject.step_seconds:.2g} s or more, too long for a limit of "
            f"{subject.seconds:g} s; without a limit: {_command(subject)}"
        )


def _command(subject: Subject) -> str:
    folder = subject.solution.folder
    return f"python -m competition.check {folder.parent.name}/{folder.name}"


def _describe_failure(num_rows: int, best: Fit) -> str:
    if best.correlation > OVERFITTED:
        return (
            f"{num_rows} rows are overfitted (correlation {best.correlation:.2f}), but not in the target's "
            f"unit (R2 {best.explained:.2g}). Likely: predict does not undo what loss does to targets"
        )
    return (
        f"{num_rows} rows cannot be overfitted: correlation {best.correlation:.2f}, wanted {OVERFITTED}. "
        "Likely: inputs that do not reach the output, an output that cannot reach the target's range "
        "(sigmoid, relu), or a loss that compares different rows (shapes that broadcast)"
    )


def _unit_matters(subject: Subject) -> bool:
    return any(score.metric in UNIT_METRICS for score in subject.challenge.declaration.scores)


def _remove_obstacles(model: nn.Module) -> None:
    """Switch dropout off and let running statistics follow at once: neither is checked here."""
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p < 1:
            module.p = 0.0
        if isinstance(module, nn.modules.batchnorm._NormBase):
            module.momentum = 0.5


def _train(subject: Subject, batch: dict[str, Tensor], target: np.ndarray, rate: float) -> Iterator[Fit]:
    """Train on one batch and yield the fit every few steps, as long as there is progress."""
    model = subject.model
    model.load_state_dict(subject.start)
    parameters = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=rate)
    best, improved = Fit(0.0, -np.inf), 0
    for step in range(1, STEPS_PER_RATE + 1):
        model.train()
        optimizer.zero_grad()
        loss = Network(model).loss(model(**inputs_of(batch)), batch)
        if not torch.isfinite(loss) or step - improved > PATIENCE:
            return
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % STEPS_BETWEEN_PREDICTIONS == 0:
            fit = _measure_fit(predict(model, batch), target)
            yield fit
            if any(new > old + PROGRESS for new, old in zip(fit, best, strict=True)):
                improved = step
                best = Fit(*np.maximum(fit, best).tolist())


def _measure_fit(predictions: np.ndarray, target: np.ndarray) -> Fit:
    fits = []
    for p, t in zip(predictions.T.astype(float), target.T.astype(float), strict=True):
        if t.std() > 0:
            spread = p.std() * t.std()
            correlation = ((p - p.mean()) * (t - t.mean())).mean() / spread if spread > 0 else 0.0
            fits.append(Fit(float(np.nan_to_num(correlation)), float(1 - ((p - t) ** 2).mean() / t.var())))
    return min(fits)
