"""Checks of a Model as it predicts: inputs, seed, shapes, batch-mates, saved weights."""

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
    inputs_of,
    judge_predictions,
    make_batches,
    name_few,
    predict,
    same,
)
from competition.training import checkpoint, randomness
from competition.training.network import Network
from competition.training.solution import shapes

NUM_ROWS = 32  # to be learned by heart


def check_inputs(subject: Subject) -> str:
    assert subject.solution.Model is not None
    known = ["sequence", *subject.opened.declaration.inputs]
    for name in subject.input_names:
        if name not in known:
            return (
                f"forward names {name!r}; challenge {subject.opened.declaration.name!r} has "
                f"{', '.join(known)}. Likely: a misspelled argument, or a challenge this model is not for"
            )
    if not subject.input_names:
        return f"forward names no input; wanted one or more of {', '.join(known)}"
    subject.rows = _distinct_rows(subject, NUM_ROWS)
    return ""


def _distinct_rows(subject: Subject, count: int) -> np.ndarray:
    """Draw up to count training rows whose inputs differ: equal inputs cannot be told apart."""
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
    model = subject.solution.Model(subject.config, shapes(subject.config, subject.opened.declaration))
    if initialize:
        Network(model).initialize(make_batches(subject, subject.input_names), subject.rows)
    return model


def check_seed(subject: Subject) -> str:
    """Build three models; leave one to be checked and one of another seed."""
    subject.model = _build(subject, seed=0)
    same, subject.other = _build(subject, seed=0), _build(subject, seed=1, initialize=False)
    weights, repeat = subject.model.state_dict(), same.state_dict()
    differs = [name for name, value in weights.items() if not torch.equal(value, repeat[name])]
    if differs:
        return (
            f"two models of one seed differ in {name_few(differs)}. Likely: weights drawn from numpy, random "
            "or a generator of their own; wanted torch's, which the harness seeds"
        )
    drawn = [name for name, value in subject.model.named_parameters() if _varies(value)]
    other = subject.other.state_dict()
    if drawn and all(torch.equal(weights[name], other[name]) for name in drawn):
        return (
            "two seeds give the same weights. Likely: a torch.manual_seed in the solution; the harness seeds"
        )
    _unsettle(subject.model)
    subject.model.to(subject.device)
    subject.other.to(subject.device)
    subject.start = {name: value.clone() for name, value in subject.model.state_dict().items()}
    return ""


def _varies(value: Tensor) -> bool:
    return value.numel() > 1 and bool((value != value.flatten()[0]).any())


@torch.no_grad()
def _unsettle(model: nn.Module) -> None:
    """Move weights that are all one number: behind a last layer of zeros no fault would show."""
    generator = torch.Generator().manual_seed(0)
    for value in model.parameters():
        if value.is_floating_point() and value.numel() > 1 and not _varies(value):
            value.add_(torch.randn(value.shape, generator=generator), alpha=0.05)


def check_prediction(subject: Subject) -> str:
    batch = subject.batch(subject.few)
    subject.model.train()
    subject.outputs = subject.model(**inputs_of(batch))
    if not all(torch.isfinite(leaf).all() for leaf in floats(subject.outputs)):
        return "outputs are not finite in training mode. Likely: a logarithm or a division of zero"
    subject.predictions = predict(subject.model, batch)
    return judge_predictions(subject.predictions, (len(subject.few), subject.num_targets))


def floats(outputs: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def check_repeat(subject: Subject) -> str:
    batch = subject.batch(subject.few)
    again = predict(subject.model, batch)
    if not same(subject.predictions, again):
        return (
            "predicting the same rows again gives another answer. Likely: functional.dropout without "
            "training=self.training, or noise that is on outside of training"
        )
    return ""


def check_batch_mates(subject: Subject) -> str:
    alone = []
    for row in subject.few[:2, None]:
        batch, started = subject.batch(row), time.monotonic()
        alone.append(predict(subject.model, batch))
        # The second is free of what only the first costs; backward takes twice as long as forward.
        subject.step_seconds = 3 * (time.monotonic() - started)
    if alone[0].shape != (1, subject.num_targets):
        return (
            f"predictions of one row alone are of shape {alone[0].shape}; wanted {(1, subject.num_targets)}. "
            "Likely: a squeeze() without an axis"
        )
    in_company = subject.predictions.copy()
    in_company[: len(alone)] = np.concatenate(alone)
    if not same(subject.predictions, in_company):
        return (
            "the prediction of a row depends on its batch-mates. Likely: batch statistics in prediction, as "
            "batch_norm with training=True, or a mean or a softmax over the rows"
        )
    return ""


def check_round_trip(subject: Subject) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        checkpoint.save(path, subject.model.state_dict(), durable=False)
        checkpoint.load_weights(subject.other, checkpoint.load(path), "the saved model")
    batch, other, subject.other = subject.batch(subject.few), subject.other, None
    if not same(predict(subject.model, batch), predict(other, batch)):
        return (
            "a model that loads the saved weights predicts something else. Likely: a tensor that is neither "
            "nn.Parameter nor register_buffer, or a buffer with persistent=False that is drawn or learned"
        )
    return ""
