"""Check that a Model can learn 32 rows by heart: what cannot do that learns nothing."""

import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from competition.contract.subject import Skip, Subject, inputs_of, predict
from competition.training.network import Network

LEARNED = 0.8  # correlation with the target over the rows learned by heart
IN_UNITS = 0.5  # share of the target's variance explained
RATES = (1e-3, 1e-2, 1e-4)  # of Adam, tried in turn
STEPS_PER_RATE, STEPS_BETWEEN_LOOKS = 1000, 10
PATIENCE, PROGRESS = 200, 0.03  # a rate is given up after so many steps without so much progress
EXPECTED_STEPS = 50  # a right model is through after about as many
UNIT_METRICS = ("mse", "mae", "r2")  # those that see the unit of a prediction


def check_overfit(subject: Subject) -> str:
    """Learn 32 rows by heart, with Adam: the model and its loss are judged here, not its recipe."""
    batch = subject.batch(subject.rows)
    target = batch["target"].cpu().numpy()
    if len(subject.rows) < 8 or not (target.std(axis=0) > 0).any():
        raise Skip(f"{len(subject.rows)} different rows with one target value; wanted 8 or more that differ")
    folder = subject.solution.folder
    command = f"python -m competition.check {folder.parent.name}/{folder.name} takes its time"
    if subject.step_seconds * EXPECTED_STEPS > subject.seconds:
        raise Skip(
            f"a step takes {subject.step_seconds:.2g} s or more, {subject.seconds:g} s are given: {command}"
        )
    _make_easy(subject.model)
    deadline, best = time.monotonic() + subject.seconds, Memory(0.0, -np.inf)
    least = IN_UNITS if _unit_matters(subject) else -np.inf
    for rate in RATES:
        for memory in _memorise(subject, batch, target, rate):
            if memory.correlation > LEARNED and memory.explained > least:
                return ""
            best = max(best, memory)
            if time.monotonic() > deadline:
                raise Skip(
                    f"not learned in {subject.seconds:g} s (correlation {best.correlation:.2f}): {command}"
                )
    if best.correlation > LEARNED:
        return (
            f"{len(subject.rows)} rows are learned by heart (correlation {best.correlation:.2f}), but in "
            f"another unit (R2 {best.explained:.2g}). Likely: predict does not undo what loss does to targets"
        )
    return (
        f"{len(subject.rows)} rows cannot be learned by heart: correlation {best.correlation:.2f}, wanted "
        f"{LEARNED}. Likely: inputs that do not reach the output, an output that cannot reach the target's "
        "range (sigmoid, relu), or a loss that pairs rows with others (shapes that broadcast)"
    )


class Memory(NamedTuple):
    """How well the rows are known, for the target that is known worst."""

    correlation: float
    explained: float


def _unit_matters(subject: Subject) -> bool:
    return any(score.metric in UNIT_METRICS for score in subject.opened.declaration.scores)


def _make_easy(model: nn.Module) -> None:
    """Switch dropout off and let running statistics follow at once: neither is what is asked here."""
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p < 1:
            module.p = 0.0
        if isinstance(module, nn.modules.batchnorm._NormBase):
            module.momentum = 0.5


def _memorise(
    subject: Subject, batch: dict[str, Tensor], target: np.ndarray, rate: float
) -> Iterator[Memory]:
    """Train on one batch and look at the predictions every few steps, as long as there is progress."""
    model = subject.model
    model.load_state_dict(subject.start)
    parameters = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=rate)
    best, improved = Memory(0.0, -np.inf), 0
    for step in range(1, STEPS_PER_RATE + 1):
        model.train()
        optimizer.zero_grad()
        loss = Network(model).loss(model(**inputs_of(batch)), batch)
        if not torch.isfinite(loss) or step - improved > PATIENCE:
            return
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % STEPS_BETWEEN_LOOKS == 0:
            memory = _remember(predict(model, batch), target)
            yield memory
            if any(new > old + PROGRESS for new, old in zip(memory, best, strict=True)):
                improved = step
                best = Memory(*np.maximum(memory, best).tolist())


def _remember(predictions: np.ndarray, target: np.ndarray) -> Memory:
    known = []
    for p, t in zip(predictions.T.astype(float), target.T.astype(float), strict=True):
        if t.std() > 0:
            spread = p.std() * t.std()
            correlation = ((p - p.mean()) * (t - t.mean())).mean() / spread if spread > 0 else 0.0
            known.append(
                Memory(float(np.nan_to_num(correlation)), float(1 - ((p - t) ** 2).mean() / t.var()))
            )
    return min(known)
