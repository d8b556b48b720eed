"""What the models of a run take over from those of another: the trunk, and the head of the same targets.

The head is what changes its shape with the number of targets.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from competition.base.errors import InputError
from competition.data.challenge import Challenge, target_names
from competition.data.declaration import Shapes
from competition.training import checkpoint
from competition.training.batches import Batches
from competition.training.checkpoint import WEIGHTS
from competition.training.network import Network
from competition.training.pretrained import Pretrained
from competition.training.recipe import Recipe
from competition.training.rescale import fit_head
from competition.training.solution import Solution, coerce, shapes

Sizes = dict[str, tuple[int, ...]]  # of the entries of a state dict
UNSCALED = "; its outputs keep the unit of that run's targets: no single last layer is known"


class Transfer(NamedTuple):
    """What is taken over from the models of a run."""

    run: Path
    kept: frozenset[str]  # entries of the state dict; all others are new
    head: str | None  # the layer that is fitted to the targets of another challenge
    text: str  # for people


def plan_transfer(
    before: Pretrained | None, solution: Solution, config: Any, opened: Challenge
) -> Transfer | None:
    """Check the weights of every fold, and say what a model of this Config takes over from them.

    InputError where weights are not finite, of another architecture, or none fits.
    """
    if before is None:
        return None
    if solution.Model is None:
        raise InputError(
            f"--init {before.run}: {solution.name} is an Estimator, which starts from no weights; "
            "leave --init away"
        )
    wanted = shapes(config, opened.declaration)
    own, head = _sizes(solution, config, wanted), _head(solution, config, wanted)
    there = _sizes_there(before, solution, config)
    states = [_read(before, fold, there, config) for fold in range(before.record.num_folds)]
    kept = {name for name, size in own.items() if all(state.get(name) == size for state in states)}
    if target_names(before.challenge.declaration) != list(wanted.targets):
        kept -= head
    trunk = own.keys() - head
    if not (kept & trunk if trunk else kept):
        raise InputError(
            f"--init {before.run} shares no weight with the model; wanted a run of {solution.name}"
        )
    text, layer = _describe(before, kept, own, head, wanted), None
    if before.challenge.digest != opened.digest and kept & head:
        layer = _layer(head & kept)
        text += UNSCALED if layer is None else ""
    return Transfer(before.run, frozenset(kept), layer, text)


def _sizes(solution: Solution, config: Any, wanted: Shapes) -> Sizes:
    """Return the shapes of a Model's state, without memory for it where its code allows that."""
    assert solution.Model is not None
    try:
        try:
            with torch.device("meta"):
                state = solution.Model(config, wanted).state_dict()
        except (RuntimeError, TypeError):  # what reads its own weights has no such form
            state = solution.Model(config, wanted).state_dict()
    except ValueError as error:
        raise InputError(f"{solution.name}: {error}") from error
    return {name: tuple(value.shape) for name, value in state.items()}


def _head(solution: Solution, config: Any, wanted: Shapes) -> set[str]:
    """Return the entries that have another shape where there is one more target."""
    own = _sizes(solution, config, wanted)
    try:
        more = _sizes(solution, config, Shapes(wanted.inputs, (*wanted.targets, "one_more")))
    except InputError:  # a model of one target
        return set()
    return {name for name, size in own.items() if more.get(name) != size}


def _sizes_there(before: Pretrained, solution: Solution, config: Any) -> Sizes:
    """Return the shapes that a model of this Config has on the other run's challenge and window."""
    window = before.record.config.get("window")
    if window is not None and hasattr(config, "window"):
        try:
            config = dataclasses.replace(config, window=coerce(solution.Config, "window", window))
        except ValueError as error:
            raise InputError(f"{solution.name}: {error}") from error
    return _sizes(solution, config, shapes(config, before.challenge.declaration))


def _read(before: Pretrained, fold: int, there: Sizes, config: Any) -> Sizes:
    """Return the shapes of a fold's weights; InputError where they are not as this Config has them there."""
    path = weights_of(before.run, fold)
    state: dict[str, Tensor] = checkpoint.load(path)
    for name, value in state.items():
        if name in there and tuple(value.shape) != there[name]:
            raise InputError(
                f"--init {path}: {name} is {tuple(value.shape)}, wanted {there[name]}: "
                f"of another architecture{_advice(before, config)}"
            )
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise InputError(f"--init {path}: {name} is not finite; wanted a run that did not diverge")
    return {name: tuple(value.shape) for name, value in state.items()}


def _advice(before: Pretrained, config: Any) -> str:
    """Return the settings of a model's own that differ from those of the run, as options."""
    harness = {each.name for each in dataclasses.fields(Recipe)} - {"encoding"}
    then, now = before.record.config, dataclasses.asdict(config)
    differs = [name for name in now if name in then and name not in harness]
    differs = [name for name in differs if then[name] != _as_json(now[name])]
    return "".join([";", *(f" --set {name}={then[name]}" for name in differs)]) if differs else ""


def _as_json(value: Any) -> Any:
    return [_as_json(item) for item in value] if isinstance(value, tuple) else value


def _layer(names: set[str]) -> str | None:
    """Return the one layer that has a weight and a bias of these names, or None."""
    layers = {name.rpartition(".")[0] for name in names if name.endswith(("weight", "bias"))}
    return layers.pop() if len(layers) == 1 else None


def _describe(before: Pretrained, kept: set[str], own: Sizes, head: set[str], wanted: Shapes) -> str:
    new = [name for name in own if name not in kept]
    text = f"{before.run}: {len(kept)} of {len(own)} tensors"
    if new:
        text += f"; new: {', '.join(new[:4])}" + (f" and {len(new) - 4} more" if len(new) > 4 else "")
    there, here = target_names(before.challenge.declaration), list(wanted.targets)
    if there != here:
        how = "a new head" if head else "no layer is known as the head, so none is new"
        text += f" ({how}: targets {', '.join(there)} there, {', '.join(here)} here)"
    return text


def weights_of(run: Path, fold: int) -> Path:
    return run / f"fold{fold}" / WEIGHTS


@torch.no_grad()
def start_from(transfer: Transfer, network: Network, batches: Batches, rows: np.ndarray, fold: int) -> str:
    """Load what is taken over into a new network and set the rest as before any training.

    Buffers that initialize sets, such as the mean of the targets, are of the new rows. Returns how the head
    was fitted to the targets, "" where it was not.
    """
    state: Mapping[str, Tensor] = checkpoint.load(weights_of(transfer.run, fold))
    kept = {name: state[name] for name in transfer.kept}
    core = network.core
    core.load_state_dict(core.state_dict() | kept)
    network.initialize(batches, rows)
    parameters = {name for name, _ in core.named_parameters(remove_duplicate=False)}
    core.load_state_dict(core.state_dict() | {n: value for n, value in kept.items() if n in parameters})
    return "" if transfer.head is None else fit_head(network, transfer.head, batches, rows)
