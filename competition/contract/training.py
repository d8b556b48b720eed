"""Clauses of the contract that hold for a Model in training: loss, gradients, optimizer."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from competition.contract.subject import Subject, describe_error, name_few
from competition.training.network import Network

SHORT_RUN = 4  # optimizer steps


def check_loss(subject: Subject) -> str:
    batch = subject.batch(subject.few)
    loss = Network(subject.model).loss(subject.outputs, batch)
    if not isinstance(loss, Tensor) or loss.ndim or loss.dtype != torch.float32:
        got = f"{tuple(loss.shape)} {loss.dtype}" if isinstance(loss, Tensor) else type(loss).__name__
        return f"the loss is {got}; wanted a float32 scalar. Likely: a missing mean"
    if not torch.isfinite(loss):
        return f"the loss is {loss.item()} with initial weights. Likely: a logarithm or root of zero or less"
    if not loss.requires_grad:
        return "the loss has no gradient. Likely: detach(), no_grad(), item() or numpy in its computation"
    if not _depends_on_target(subject, loss, batch):
        return "the loss does not depend on the target. Likely: it never reads batch['target']"
    subject.loss = loss
    return ""


def _depends_on_target(subject: Subject, loss: Tensor, batch: dict[str, Tensor]) -> bool:
    target = batch["target"]
    signs = torch.ones_like(target)
    signs[::2] = -1
    for other in (target.roll(1, 0), target + signs * (1 + target.abs().max())):
        changed = Network(subject.model).loss(subject.outputs, {**batch, "target": other})
        if not torch.equal(changed, loss):
            return True
    return False


def check_parameter_free_loss(subject: Subject) -> str:
    """Watch which modules with parameters the loss calls."""
    names = {module: name for name, module in subject.model.named_modules() if list(module.parameters())}
    called: list[str] = []

    def record(module: nn.Module, _: Any) -> None:
        if module in names:
            called.append(names[module])

    forward = subject.model.forward

    def recording_forward(*args: Any, **inputs: Any) -> Any:
        called.append("forward")
        return forward(*args, **inputs)

    handle = nn.modules.module.register_module_forward_pre_hook(record)
    subject.model.forward = recording_forward  # self.forward(...) bypasses the hooks
    try:
        Network(subject.model).loss(subject.outputs, subject.batch(subject.few))
    finally:
        handle.remove()
        del subject.model.forward
    if called:
        return (
            f"the loss calls {name_few([name or 'the model' for name in called])}, a part of the network. "
            "With several processes its gradients are not averaged; wanted all parameters in forward, which "
            "may return several outputs"
        )
    return ""


def check_mean_loss(subject: Subject) -> str:
    """Compare the loss of some rows with that of each of them twice."""
    batch = subject.batch(subject.few)
    count = len(subject.few)

    def twice(value: Any) -> Any:
        rows = isinstance(value, Tensor) and value.ndim and len(value) == count
        return torch.cat([value, value]) if rows else value

    torch.manual_seed(0)
    once = Network(subject.model).loss(subject.outputs, batch)
    torch.manual_seed(0)
    double = Network(subject.model).loss(tree_map(twice, subject.outputs), tree_map(twice, batch))
    if not torch.isclose(once, double, rtol=1e-3, atol=1e-6):
        return (
            f"the loss is {once.item():.4g} for {count} rows and {double.item():.4g} for each of them twice; "
            "wanted a mean over rows, or the learning rate depends on the batch size. Likely: a sum"
        )
    return ""


def check_gradients(subject: Subject) -> str:
    assert subject.loss is not None
    torch.autograd.backward(subject.loss)
    subject.loss = subject.outputs = None
    wanted = {name: value for name, value in subject.model.named_parameters() if value.requires_grad}
    if not wanted:
        return "the model has no trainable parameters; wanted nn.Parameter, or an Estimator"
    unused = [name for name, value in wanted.items() if value.grad is None]
    if unused:
        return (
            f"no gradient reaches {name_few(unused)}. With several processes training would hang. Likely: a "
            "layer that forward does not use, or a detach()"
        )
    bad = [name for name, value in wanted.items() if not torch.isfinite(value.grad).all()]
    if bad:
        return f"the gradient of {name_few(bad)} is not finite. Likely: a root or logarithm close to zero"
    return ""


def check_optimizer(subject: Subject) -> str:
    returned: Any = Network(subject.model).optimizer(SHORT_RUN)
    if not isinstance(returned, tuple) or len(returned) != 2:
        return f"optimizer returned {type(returned).__name__}; wanted (optimizer, scheduler or None)"
    optimizer, scheduler = returned
    held = [id(value) for group in optimizer.param_groups for value in group["params"]]
    wanted = {id(value): name for name, value in subject.model.named_parameters() if value.requires_grad}
    missed = [name for key, name in wanted.items() if key not in held]
    if missed:
        return f"the optimizer does not hold {name_few(missed)}. Likely: a parameter group was left out"
    twice = [name for key, name in wanted.items() if held.count(key) > 1]
    if twice:
        return f"the optimizer holds {name_few(twice)} twice. Likely: overlapping parameter groups"
    try:
        moved = _step(subject, optimizer, scheduler, list(wanted.values()))
    except (TypeError, ValueError) as error:
        return (
            f"{describe_error(error, subject.solution.folder)}. Wanted a scheduler whose step() takes no "
            "arguments and can be called num_steps times. Likely: it counts epochs"
        )
    if not moved:
        return f"{SHORT_RUN} optimizer steps change no weight. Likely: a learning rate of zero throughout"
    return ""


def _step(subject: Subject, optimizer: Any, scheduler: Any, names: Sequence[str]) -> bool:
    """Step through a short run, as far as needed; return whether a weight of these names has changed."""
    moved = False
    for _ in range(SHORT_RUN):
        if not moved:
            optimizer.step()
            now = subject.model.state_dict()
            moved = any(not torch.equal(now[name], subject.start[name]) for name in names)
        if scheduler is not None:
            scheduler.step()
    return moved
