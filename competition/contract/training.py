"""Checks of a Model as it trains: loss, gradients, optimizer."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from competition.contract.subject import Subject, name_few, spell
from competition.training.network import Network

SHORT_RUN = 4  # optimizer steps


def check_loss(subject: Subject) -> str:
    batch = subject.batch(subject.few)
    loss = Network(subject.model).loss(subject.outputs, batch)
    if not isinstance(loss, Tensor) or loss.ndim or loss.dtype != torch.float32:
        got = f"{tuple(loss.shape)} {loss.dtype}" if isinstance(loss, Tensor) else type(loss).__name__
        return f"the loss is {got}; wanted a float32 scalar. Likely: a mean is missing"
    if not torch.isfinite(loss):
        return f"the loss is {loss.item()} on fresh weights. Likely: a logarithm or a root of zero or below"
    if not loss.requires_grad:
        return "the loss has no gradient. Likely: detach(), no_grad(), item() or numpy on the way to it"
    if not _heeds_target(subject, loss, batch):
        return "the loss is the same for other targets. Likely: it never reads batch['target']"
    subject.loss = loss
    return ""


def _heeds_target(subject: Subject, loss: Tensor, batch: dict[str, Tensor]) -> bool:
    target = batch["target"]
    signs = torch.ones_like(target)
    signs[::2] = -1
    for other in (target.roll(1, 0), target + signs * (1 + target.abs().max())):
        changed = Network(subject.model).loss(subject.outputs, {**batch, "target": other})
        if not torch.equal(changed, loss):
            return True
    return False


def check_network_in_loss(subject: Subject) -> str:
    """Watch every module with parameters while the loss is computed."""
    names = {module: name for name, module in subject.model.named_modules() if list(module.parameters())}
    called: list[str] = []

    def note(module: nn.Module, _: Any) -> None:
        if module in names:
            called.append(names[module])

    forward = subject.model.forward

    def noting_forward(*args: Any, **inputs: Any) -> Any:
        called.append("forward")
        return forward(*args, **inputs)

    handle = nn.modules.module.register_module_forward_pre_hook(note)
    subject.model.forward = noting_forward  # self.forward(...) passes by the hooks
    try:
        Network(subject.model).loss(subject.outputs, subject.batch(subject.few))
    finally:
        handle.remove()
        del subject.model.forward
    if called:
        return (
            f"the loss runs a part of the network: {name_few([name or 'the model' for name in called])}. On "
            "several processes its gradients are not averaged; wanted all of it in forward, which may return "
            "several things"
        )
    return ""


def check_mean_loss(subject: Subject) -> str:
    """Show the loss each row twice."""
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
            f"the loss is {once.item():.4g} for some rows and {double.item():.4g} for each of them twice; "
            "wanted the mean over rows, or the learning rate depends on the size of a batch. Likely: a sum"
        )
    return ""


def check_gradients(subject: Subject) -> str:
    assert subject.loss is not None
    torch.autograd.backward(subject.loss)
    subject.loss = subject.outputs = None
    wanted = {name: value for name, value in subject.model.named_parameters() if value.requires_grad}
    if not wanted:
        return "the model has no parameter to train; wanted nn.Parameter, or an Estimator"
    unused = [name for name, value in wanted.items() if value.grad is None]
    if unused:
        return (
            f"no gradient reaches {name_few(unused)}. On several processes training would hang. Likely: a "
            "layer that forward does not use, or a detach()"
        )
    bad = [name for name, value in wanted.items() if not torch.isfinite(value.grad).all()]
    if bad:
        return f"the gradient of {name_few(bad)} is not finite. Likely: a root or a logarithm close to zero"
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
        return f"the optimizer holds {name_few(twice)} twice. Likely: groups that overlap, which step twice"
    moved = False
    try:
        for _ in range(SHORT_RUN):
            if not moved:
                optimizer.step()
                now = subject.model.state_dict()
                moved = any(not torch.equal(now[name], subject.start[name]) for name in wanted.values())
            if scheduler is not None:
                scheduler.step()
    except (TypeError, ValueError) as error:
        return (
            f"{spell(error, subject.solution.folder)}. Wanted a scheduler whose step() can be called "
            "without arguments num_steps times. Likely: it counts epochs"
        )
    if not moved:
        return (
            f"{SHORT_RUN} steps of the optimizer move no weight. Likely: a learning rate of zero throughout"
        )
    return ""
