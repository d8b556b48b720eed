"""Clauses of the contract that hold for a Model in prediction: inputs, seed, shapes, rows, saved weights."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from competition.contract.subject import (
    Subject,
    agree,
    agree_one_by_one,
    fault_of_predictions,
    inputs_of,
    make_batches,
    name_few,
    predict,
    refusals_shown,
)
from competition.training import checkpoint, randomness
from competition.training.network import Network
from competition.training.solution import shapes

NUM_ROWS = 32  # to be overfitted


def check_inputs(subject: Subject) -> str:
    assert subject.solution.Model is not None
    known = subject.challenge.declaration.input_names
    for name in subject.input_names:
        if name not in known:
            return (
                f"forward takes {name!r}; challenge {subject.challenge.declaration.name!r} has "
                f"{', '.join(known)}. Likely: a misspelled argument, or a challenge this model is not for"
            )
    if not subject.input_names:
        return f"forward takes no input; wanted one or more of {', '.join(known)}"
    subject.rows = _distinct_rows(subject, NUM_ROWS)
    return ""


def _distinct_rows(subject: Subject, count: int) -> np.ndarray:
    """Draw up to count training rows with distinct inputs: no model can distinguish equal ones."""
    batches, generator = make_batches(subject, subject.input_names), np.random.default_rng(0)
    candidates = generator.choice(len(batches), min(len(batches), 4 * count), replace=False)
    found: dict[bytes, int] = {}
    for start in range(0, len(candidates), count):
        block = candidates[start : start + count]
        inputs = [value.flatten(1).numpy() for value in batches.inputs(block).values()]
        for row, values in zip(block, np.concatenate(inputs, axis=1), strict=True):
            found.setdefault(values.tobytes(), int(row))
        if len(found) >= count:
            break
    return np.array(list(found.values())[:count])


def _build(subject: Subject, seed: int, *, initialize: bool = True) -> Any:
    """Build a model as a run does, or as one does that is to load weights."""
    assert subject.solution.Model is not None
    torch.manual_seed(randomness.derive("model", seed, 0))
    wanted = shapes(subject.config, subject.challenge.declaration)
    with refusals_shown(subject.solution):
        model = subject.solution.Model(subject.config, wanted)
        if initialize:
            Network(model).initialize(make_batches(subject, subject.input_names), subject.rows)
    return model


def check_seed(subject: Subject) -> str:
    """Build three models; keep one to be checked and one with another seed."""
    subject.model = _build(subject, seed=0)
    twin, subject.other = _build(subject, seed=0), _build(subject, seed=1, initialize=False)
    weights, repeat = subject.model.state_dict(), twin.state_dict()
    differs = [name for name, value in weights.items() if not torch.equal(value, repeat[name])]
    if differs:
        return (
            f"two models of one seed differ in {name_few(differs)}. Likely: weights drawn from numpy, random "
            "or another generator; wanted torch's global one, which the harness seeds"
        )
    drawn = [name for name, value in subject.model.named_parameters() if _varies(value)]
    other = subject.other.state_dict()
    if drawn and all(torch.equal(weights[name], other[name]) for name in drawn):
        return (
            "two seeds give the same weights. Likely: torch.manual_seed in the solution; the harness sets it"
        )
    _perturb_constants(subject.model)
    subject.model.to(subject.device)
    subject.other.to(subject.device)
    subject.start = {name: value.clone() for name, value in subject.model.state_dict().items()}
    return ""


def _varies(value: Tensor) -> bool:
    return value.numel() > 1 and bool((value != value.flatten()[0]).any())


@torch.no_grad()
def _perturb_constants(model: nn.Module) -> None:
    """Perturb weights that are all one number: behind a last layer of zeros no fault would show."""
    generator = torch.Generator().manual_seed(0)
    for value in model.parameters():
        if value.is_floating_point() and value.numel() > 1 and not _varies(value):
            value.add_(torch.randn(value.shape, generator=generator), alpha=0.05)


def check_predictions(subject: Subject) -> str:
    batch = subject.batch(subject.few)
    subject.model.train()
    subject.outputs = subject.model(**inputs_of(batch))
    if not all(torch.isfinite(leaf).all() for leaf in floats(subject.outputs)):
        return "outputs are not finite in training mode. Likely: a logarithm of zero, or a division by zero"
    subject.predictions = predict(subject.model, batch)
    return fault_of_predictions(subject.predictions, (len(subject.few), subject.num_targets))


def floats(outputs: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def check_repeatability(subject: Subject) -> str:
    batch = subject.batch(subject.few)
    again = predict(subject.model, batch)
    if not agree(subject.predictions, again):
        return (
            "predicting the same rows again gives other values. Likely: functional.dropout without "
            "training=self.training, or other noise that stays on outside training"
        )
    return ""


def check_row_independence(subject: Subject) -> str:
    singly = []
    for row in subject.few[:2, None]:
        batch, started = subject.batch(row), time.monotonic()
        singly.append(predict(subject.model, batch))
        # The first is slowed by start-up, so the second counts; backward takes twice as long as forward.
        subject.step_seconds = 3 * (time.monotonic() - started)
    if singly[0].shape != (1, subject.num_targets):
        return (
            f"predictions of a single row have shape {singly[0].shape}; wanted {(1, subject.num_targets)}. "
            "Likely: a squeeze() without an axis"
        )
    if not agree_one_by_one(subject.predictions, singly):
        return (
            "the prediction of a row depends on other rows in the batch. Likely: batch statistics, as of "
            "batch_norm with training=True, or a mean or softmax over rows"
        )
    return ""


def check_save_and_load(subject: Subject) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        checkpoint.save(path, subject.model.state_dict(), durable=False)
        checkpoint.load_weights(subject.other, checkpoint.load(path), "the saved model")
    batch, other, subject.other = subject.batch(subject.few), subject.other, None
    if not agree(predict(subject.model, batch), predict(other, batch)):
        return (
            "a model that loads the saved weights predicts other values. Likely: a tensor that is neither an "
            "nn.Parameter nor a buffer, or a buffer with persistent=False that is random or learned"
        )
    return ""
