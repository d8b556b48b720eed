"""The contract of a solution, as one function: what a model must do before its score means anything.

Every check looks at real rows of the challenge, raises nothing, and names the likely mistake.
"""

import dataclasses
import re
import tempfile
import time
import tomllib
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from competition import checkpoint, randomness, toml
from competition.batches import Batches
from competition.challenge import OpenChallenge
from competition.cross_validation import collapsed
from competition.errors import InputError
from competition.fit import compute_loss, make_optimizer
from competition.solution import DEFAULTS, Solution, coerce, shapes

NUM_ROWS = 32  # to be learned by heart
FEW_ROWS = 5  # for all else; an uncommon number, so that no other axis is taken for the rows
FIT_ROWS = 256  # for an Estimator
SHORT_RUN = 4  # optimizer steps
NUM_SAMPLES = 4  # of Config.search
LEARNED = 0.8  # correlation with the target over the rows learned by heart
IN_UNITS = 0.5  # share of the target's variance explained
RATES = (1e-3, 1e-2, 1e-4)  # of Adam, tried in turn
STEPS_PER_RATE, STEPS_BETWEEN_LOOKS = 1000, 10
PATIENCE, PROGRESS = 200, 0.03  # a rate is given up after so many steps without so much progress
EXPECTED_STEPS = 50  # a right model is through after about as many
UNIT_METRICS = ("mse", "mae", "R2")  # those that see the unit of a prediction
A_SOURCE = re.compile(r"https?://|doi\b|\b10\.\d{4,}/|et al\b|arxiv|\bsources?\b", re.IGNORECASE)

# What wrong code of a solution raises. Anything else, such as an interrupt, is not a finding.
FAULTS = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError, OSError,
    RuntimeError, TypeError, ValueError,
)  # fmt: skip


class Finding(NamedTuple):
    """What one check found: ok is None where it was not made, and the message then says why."""

    name: str
    ok: bool | None
    message: str = ""


class Check(NamedTuple):
    """A check finds a fault and words it, or returns ""; it is made where those it needs have passed."""

    name: str
    find: Callable[["Subject"], str]
    needs: tuple[str, ...] = ()


class Skip(Exception):
    """Raised by a check that cannot be made, with the reason."""


@dataclass
class Subject:
    """What is checked, and what one check leaves for the next."""

    solution: Solution
    opened: OpenChallenge
    config: Any
    device: torch.device
    seconds: float
    rows: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    model: Any = None
    other: Any = None  # the same model of another seed
    start: dict[str, Tensor] = field(default_factory=dict)  # the weights that learning by heart begins with
    predictions: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    outputs: Any = None  # of the model in training, for the few rows
    loss: Tensor | None = None
    step_seconds: float = 0.0

    @property
    def num_targets(self) -> int:
        return len(self.opened.challenge.targets)

    @property
    def few(self) -> np.ndarray:
        return self.rows[:FEW_ROWS]

    def batch(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Return the inputs and "target" of these rows on the device."""
        assert self.opened.train.target is not None
        inputs = _batches(self, self.solution.input_names).inputs(rows)
        inputs["target"] = torch.from_numpy(np.array(self.opened.train.target[rows]))
        return {name: value.to(self.device) for name, value in inputs.items()}


def require_contract(
    solution: Solution, opened: OpenChallenge, config: Any, *, device: torch.device, seconds: float = 10.0
) -> list[Finding]:
    """Return the findings of check_contract, or raise one InputError that lists every fault."""
    findings = check_contract(solution, opened, config, device=device, seconds=seconds)
    faults = [f"  {finding.name}: {finding.message}" for finding in findings if finding.ok is False]
    if faults:
        heading = f"{solution.name} breaks the contract of a solution (--no-check runs it all the same):"
        raise InputError("\n".join([heading, *faults]))
    return findings


def check_contract(
    solution: Solution, opened: OpenChallenge, config: Any, *, device: torch.device, seconds: float
) -> list[Finding]:
    """Hold a solution to the contract, on rows of the challenge; seconds as for make_checks."""
    return list(make_checks(solution, opened, config, device=device, seconds=seconds))


def make_checks(
    solution: Solution, opened: OpenChallenge, config: Any, *, device: torch.device, seconds: float
) -> Iterator[Finding]:
    """Make one check after the other and yield what it finds.

    seconds is what learning 32 rows by heart may take; where it would take longer that check is skipped.
    """
    subject = Subject(solution, opened, config, device, seconds)
    checks = MODEL_CHECKS if solution.Model is not None else ESTIMATOR_CHECKS
    passed: set[str] = set()
    with _full_precision(device):
        for check in (*FOLDER_CHECKS, *checks):
            finding = _make(check, subject, passed)
            if finding.ok:
                passed.add(check.name)
            yield finding


def _make(check: Check, subject: Subject, passed: set[str]) -> Finding:
    missing = [name for name in check.needs if name not in passed]
    if missing:
        return Finding(check.name, None, f"needs {missing[0]!r} to pass")
    try:
        fault = check.find(subject)
    except Skip as reason:
        return Finding(check.name, None, str(reason))
    except FAULTS as error:
        fault = _spell(error, subject.solution.folder)
    return Finding(check.name, not fault, fault)


def _spell(error: BaseException, folder: Path) -> str:
    """Spell an exception with the line of the solution that it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    where = f"{Path(own[-1].filename).name}, line {own[-1].lineno}: " if own else ""
    return f"{where}{type(error).__name__}: {error}"


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Keep a GPU from rounding to 10 bits, which would look like a dependence on batch-mates."""
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield


# The folder


def _readme(subject: Subject) -> str:
    path = subject.solution.folder / "README.md"
    if not path.exists():
        return "there is no README.md; wanted the idea, its source and what differs from it"
    if not A_SOURCE.search(path.read_text(encoding="utf-8")):
        return (
            "README.md names no source; wanted a link, a DOI or a line 'Source: ...' (your own idea is one)"
        )
    return ""


def _config(subject: Subject) -> str:
    config_class = subject.solution.Config
    if not config_class.__dataclass_params__.frozen:
        return "Config can be changed after it is made; wanted @dataclass(frozen=True)"
    names = [each.name for each in dataclasses.fields(config_class)]
    for name in names:
        near = get_close_matches(name, DEFAULTS, n=1, cutoff=0.85)
        if name not in DEFAULTS and near and near[0] not in names:
            return f"Config.{name} is read by nothing of the harness; did you mean {near[0]!r}?"
    _through_toml(subject.config)
    return ""


def _through_toml(config: Any) -> None:
    """Raise ValueError where a Config would not come back from tuned.toml as it was."""
    for name, value in dataclasses.asdict(config).items():
        if value is None:
            continue
        text = toml.dumps({name: value})
        back = coerce(type(config), name, tomllib.loads(text)[name])
        if back != value:
            raise ValueError(f"Config.{name} = {value!r} comes back from a TOML file as {back!r}")


def _search(subject: Subject) -> str:
    if not hasattr(subject.solution.Config, "search"):
        raise Skip("Config.search is not defined, so there is nothing to tune")
    import optuna  # a second to import, and few solutions are tuned

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    optuna.logging.set_verbosity(verbosity)
    for _ in range(NUM_SAMPLES):
        trial = study.ask()
        try:
            config = subject.solution.Config.search(trial)
            if type(config) is not subject.solution.Config:
                return f"Config.search returned {type(config).__name__}; wanted a Config"
            _through_toml(config)
            _try(subject, config)
        except optuna.TrialPruned:
            continue
        except FAULTS as error:
            drawn = ", ".join(f"{name}={value}" for name, value in trial.params.items())
            return f"with {drawn} {_spell(error, subject.solution.folder)}. Likely: a range that is too wide"
    return ""


def _try(subject: Subject, config: Any) -> None:
    """Build the model of a Config and let it look at two rows: without memory, or for real in doubt."""
    if subject.solution.Model is None:
        return
    wanted = shapes(config, subject.opened.challenge)
    sizes = {name: (2, *wanted.inputs.get(name, ())) for name in subject.solution.input_names}
    try:
        _pretend(subject.solution.Model, config, wanted, sizes)
    except FAULTS:
        # Code that looks at values cannot pretend; only what also fails for real is a fault.
        model = subject.solution.Model(config, wanted).eval()
        with torch.no_grad():
            model(**{name: torch.zeros(size) for name, size in sizes.items()})


def _pretend(model_class: Any, config: Any, wanted: Any, sizes: dict[str, tuple[int, ...]]) -> None:
    """Build and run a model of tensors that have a shape and a device, but no memory."""
    from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

    cpu, mode = torch.device("cpu"), FakeTensorMode()
    with torch.device("meta"):
        model = model_class(config, wanted).eval()
    tensors = dict([*model.named_parameters(), *model.named_buffers()])
    state: dict[str, Tensor] = {
        name: FakeTensor(mode, value.detach(), cpu) for name, value in tensors.items()
    }
    with mode, torch.no_grad():
        inputs = {name: torch.zeros(size) for name, size in sizes.items()}
        torch.func.functional_call(model, state, (), inputs)


# The model


def _inputs(subject: Subject) -> str:
    assert subject.solution.Model is not None
    known = ["sequence", *subject.opened.challenge.inputs]
    for name in subject.solution.input_names:
        if name not in known:
            return (
                f"forward names {name!r}; challenge {subject.opened.challenge.name!r} has "
                f"{', '.join(known)}. Likely: a misspelled argument, or a challenge this model is not for"
            )
    if not subject.solution.input_names:
        return f"forward names no input; wanted one or more of {', '.join(known)}"
    subject.rows = _distinct_rows(subject, NUM_ROWS)
    return ""


def _batches(subject: Subject, names: Sequence[str]) -> Batches:
    return Batches(subject.opened.train, subject.opened.challenge, subject.config, names, torch.device("cpu"))


def _distinct_rows(subject: Subject, count: int) -> np.ndarray:
    """Draw up to count training rows whose inputs differ: equal inputs cannot be told apart."""
    batches, generator = _batches(subject, subject.solution.input_names), np.random.default_rng(0)
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
    assert subject.solution.Model is not None and subject.opened.train.target is not None
    torch.manual_seed(randomness.derive("model", seed, 0))
    model = subject.solution.Model(subject.config, shapes(subject.config, subject.opened.challenge))
    if initialize and hasattr(model, "initialize"):
        with torch.no_grad():
            model.initialize(torch.from_numpy(np.array(subject.opened.train.target[subject.rows])))
    return model


def _seed(subject: Subject) -> str:
    """Build three models; leave one to be checked and one of another seed."""
    subject.model = _build(subject, seed=0)
    same, subject.other = _build(subject, seed=0), _build(subject, seed=1, initialize=False)
    weights, repeat = subject.model.state_dict(), same.state_dict()
    differs = [name for name, value in weights.items() if not torch.equal(value, repeat[name])]
    if differs:
        return (
            f"two models of one seed differ in {_few(differs)}. Likely: weights drawn from numpy, random or "
            "a generator of their own; wanted torch's, which the harness seeds"
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


def _prediction(subject: Subject) -> str:
    batch = subject.batch(subject.few)
    subject.model.train()
    subject.outputs = subject.model(**_without_target(batch))
    if not all(torch.isfinite(leaf).all() for leaf in _floats(subject.outputs)):
        return "outputs are not finite in training mode. Likely: a logarithm or a division of zero"
    subject.predictions = _predict(subject.model, batch)
    return _judge_predictions(subject.predictions, (len(subject.few), subject.num_targets))


def _judge_predictions(predictions: np.ndarray, wanted: tuple[int, int]) -> str:
    if predictions.shape != wanted:
        return (
            f"predictions are of shape {predictions.shape}; wanted {wanted}: rows, targets. "
            "Likely: a squeeze() too many, a last layer of another size, or outputs that need a predict()"
        )
    if not np.isfinite(predictions).all():
        return "predictions are not finite. Likely: a logarithm or a division of zero, or an overflow"
    return ""


def _without_target(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in batch.items() if name != "target"}


def _floats(outputs: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor) and leaf.is_floating_point()]


@torch.no_grad()
def _predict(model: Any, batch: dict[str, Tensor]) -> np.ndarray:
    model.eval()
    outputs = model(**_without_target(batch))
    predictions = model.predict(outputs) if hasattr(model, "predict") else outputs
    return np.asarray(predictions.float().cpu())


def _same(predictions: np.ndarray, others: np.ndarray) -> bool:
    """Tell whether two predictions agree but for rounding, which grows with their size."""
    if predictions.shape != others.shape:
        return False
    allowed = 0.05 * predictions.std(axis=0) + 1e-5 * np.abs(predictions).max()
    return bool((np.abs(predictions - others) <= allowed).all())


def _repeat(subject: Subject) -> str:
    batch = subject.batch(subject.few)
    again = _predict(subject.model, batch)
    if not _same(subject.predictions, again):
        return (
            "predicting the same rows again gives another answer. Likely: functional.dropout without "
            "training=self.training, or noise that is on outside of training"
        )
    return ""


def _batch_mates(subject: Subject) -> str:
    alone = []
    for row in subject.few[:2, None]:
        batch, started = subject.batch(row), time.monotonic()
        alone.append(_predict(subject.model, batch))
        # The second is free of what only the first costs; backward takes twice as long as forward.
        subject.step_seconds = 3 * (time.monotonic() - started)
    if alone[0].shape != (1, subject.num_targets):
        return (
            f"predictions of one row alone are of shape {alone[0].shape}; wanted {(1, subject.num_targets)}. "
            "Likely: a squeeze() without an axis"
        )
    in_company = subject.predictions.copy()
    in_company[: len(alone)] = np.concatenate(alone)
    if not _same(subject.predictions, in_company):
        return (
            "the prediction of a row depends on its batch-mates. Likely: batch statistics in prediction, as "
            "batch_norm with training=True, or a mean or a softmax over the rows"
        )
    return ""


def _round_trip(subject: Subject) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        checkpoint.save(path, subject.model.state_dict(), durable=False)
        checkpoint.load_weights(subject.other, checkpoint.load(path), "the saved model")
    batch, other, subject.other = subject.batch(subject.few), subject.other, None
    if not _same(_predict(subject.model, batch), _predict(other, batch)):
        return (
            "a model that loads the saved weights predicts something else. Likely: a tensor that is neither "
            "nn.Parameter nor register_buffer, or a buffer with persistent=False that is drawn or learned"
        )
    return ""


# The training of the model


def _loss(subject: Subject) -> str:
    batch = subject.batch(subject.few)
    loss = compute_loss(subject.model, subject.outputs, batch)
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
        changed = compute_loss(subject.model, subject.outputs, {**batch, "target": other})
        if not torch.equal(changed, loss):
            return True
    return False


def _network_in_loss(subject: Subject) -> str:
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
        compute_loss(subject.model, subject.outputs, subject.batch(subject.few))
    finally:
        handle.remove()
        del subject.model.forward
    if called:
        return (
            f"the loss runs a part of the network: {_few([name or 'the model' for name in called])}. On "
            "several processes its gradients are not averaged; wanted all of it in forward, which may return "
            "several things"
        )
    return ""


def _mean_loss(subject: Subject) -> str:
    """Show the loss each row twice."""
    batch = subject.batch(subject.few)
    count = len(subject.few)

    def twice(value: Any) -> Any:
        rows = isinstance(value, Tensor) and value.ndim and len(value) == count
        return torch.cat([value, value]) if rows else value

    torch.manual_seed(0)
    once = compute_loss(subject.model, subject.outputs, batch)
    torch.manual_seed(0)
    double = compute_loss(subject.model, tree_map(twice, subject.outputs), tree_map(twice, batch))
    if not torch.isclose(once, double, rtol=1e-3, atol=1e-6):
        return (
            f"the loss is {once.item():.4g} for some rows and {double.item():.4g} for each of them twice; "
            "wanted the mean over rows, or the learning rate depends on the size of a batch. Likely: a sum"
        )
    return ""


def _gradients(subject: Subject) -> str:
    assert subject.loss is not None
    subject.loss.backward()
    subject.loss = subject.outputs = None
    wanted = {name: value for name, value in subject.model.named_parameters() if value.requires_grad}
    if not wanted:
        return "the model has no parameter to train; wanted nn.Parameter, or an Estimator"
    unused = [name for name, value in wanted.items() if value.grad is None]
    if unused:
        return (
            f"no gradient reaches {_few(unused)}. On several processes training would hang. Likely: a layer "
            "that forward does not use, or a detach()"
        )
    bad = [name for name, value in wanted.items() if not torch.isfinite(value.grad).all()]
    if bad:
        return f"the gradient of {_few(bad)} is not finite. Likely: a root or a logarithm close to zero"
    return ""


def _optimizer(subject: Subject) -> str:
    returned: Any = make_optimizer(subject.model, SHORT_RUN)
    if not isinstance(returned, tuple) or len(returned) != 2:
        return f"optimizer returned {type(returned).__name__}; wanted (optimizer, scheduler or None)"
    optimizer, scheduler = returned
    held = [id(value) for group in optimizer.param_groups for value in group["params"]]
    wanted = {id(value): name for name, value in subject.model.named_parameters() if value.requires_grad}
    missed = [name for key, name in wanted.items() if key not in held]
    if missed:
        return f"the optimizer does not hold {_few(missed)}. Likely: a parameter group was left out"
    twice = [name for key, name in wanted.items() if held.count(key) > 1]
    if twice:
        return f"the optimizer holds {_few(twice)} twice, which would step twice. Likely: groups that overlap"
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
            f"{_spell(error, subject.solution.folder)}. Wanted a scheduler whose step() can be called "
            "without arguments num_steps times. Likely: it counts epochs"
        )
    if not moved:
        return (
            f"{SHORT_RUN} steps of the optimizer move no weight. Likely: a learning rate of zero throughout"
        )
    return ""


def _overfit(subject: Subject) -> str:
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
    return any(score.metric in UNIT_METRICS for score in subject.opened.challenge.scores)


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
        loss = compute_loss(model, model(**_without_target(batch)), batch)
        if not torch.isfinite(loss) or step - improved > PATIENCE:
            return
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % STEPS_BETWEEN_LOOKS == 0:
            memory = _remember(_predict(model, batch), target)
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


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


# The estimator


def _fitted(subject: Subject) -> Any:
    """Fit an Estimator to the rows as a run does."""
    assert subject.solution.Estimator is not None and subject.opened.train.target is not None
    np.random.seed(0)  # noqa: NPY002 - what libraries read
    estimator = subject.solution.Estimator(subject.config, shapes(subject.config, subject.opened.challenge))
    estimator.fit(_arrays(subject, subject.rows), np.array(subject.opened.train.target[subject.rows]))
    return estimator


def _arrays(subject: Subject, rows: np.ndarray) -> dict[str, np.ndarray]:
    store = subject.opened.train
    others = {name: np.array(store.inputs[name][rows]) for name in subject.opened.challenge.inputs}
    return {"sequence": _batches(subject, ["sequence"]).window(rows).numpy(), **others}


def _fit(subject: Subject) -> str:
    total = len(subject.opened.train)
    subject.rows = np.random.default_rng(0).choice(total, min(total, FIT_ROWS), replace=False)
    subject.model = _fitted(subject)
    subject.predictions = np.asarray(subject.model.predict(_arrays(subject, subject.rows)))
    return _judge_predictions(subject.predictions, (len(subject.rows), subject.num_targets))


def _constant(subject: Subject) -> str:
    assert subject.opened.train.target is not None
    if collapsed(subject.predictions, np.asarray(subject.opened.train.target[subject.rows])):
        return "the rows it was fitted to are all predicted the same. Likely: features that are never filled"
    return ""


def _estimator_seed(subject: Subject) -> str:
    again = np.asarray(_fitted(subject).predict(_arrays(subject, subject.rows)))
    if not np.array_equal(subject.predictions, again):
        return (
            "fitting again gives other predictions. Likely: default_rng() or random_state=None; wanted a "
            "fixed number, or numpy's global generator, which the harness seeds"
        )
    return ""


def _estimator_mates(subject: Subject) -> str:
    few = subject.rows[:FEW_ROWS]
    alone = [np.asarray(subject.model.predict(_arrays(subject, row))) for row in few[:, None]]
    in_company = subject.predictions.copy()
    in_company[: len(few)] = np.concatenate(alone)
    if not _same(subject.predictions, in_company):
        return (
            "the prediction of a row depends on its batch-mates. Likely: features scaled by the rows at hand"
        )
    return ""


def _estimator_round_trip(subject: Subject) -> str:
    state = {name: torch.from_numpy(np.array(v)) for name, v in subject.model.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        checkpoint.save(path, state, durable=False)
        loaded = {name: value.numpy() for name, value in checkpoint.load(path).items()}
    assert subject.solution.Estimator is not None
    other = subject.solution.Estimator(subject.config, shapes(subject.config, subject.opened.challenge))
    other.load_state_dict(loaded)
    if not _same(subject.predictions, np.asarray(other.predict(_arrays(subject, subject.rows)))):
        return (
            "what load_state_dict restores predicts something else. Likely: state_dict leaves something out"
        )
    return ""


FOLDER_CHECKS = (Check("README", _readme), Check("Config", _config))
MODEL_CHECKS = (
    Check("inputs", _inputs),
    Check("seed", _seed, ("inputs",)),
    Check("prediction", _prediction, ("seed",)),
    Check("repeat", _repeat, ("prediction",)),
    Check("batch-mates", _batch_mates, ("repeat",)),
    Check("round trip", _round_trip, ("repeat",)),
    Check("loss", _loss, ("prediction",)),
    Check("network in loss", _network_in_loss, ("loss",)),
    Check("mean loss", _mean_loss, ("loss",)),
    Check("gradients", _gradients, ("loss",)),
    Check("optimizer", _optimizer, ("gradients",)),
    Check("search", _search, ("Config", "prediction")),
    Check("32 rows by heart", _overfit, ("repeat", "gradients")),
)
ESTIMATOR_CHECKS = (
    Check("prediction", _fit),
    Check("constant", _constant, ("prediction",)),
    Check("seed", _estimator_seed, ("prediction",)),
    Check("batch-mates", _estimator_mates, ("seed",)),
    Check("round trip", _estimator_round_trip, ("prediction",)),
    Check("search", _search, ("Config",)),
)
