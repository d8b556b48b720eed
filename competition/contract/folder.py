"""Clauses of the contract that hold for a solution's folder: its README, its Config and Config.search."""

import dataclasses
import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from competition.base import toml
from competition.contract.subject import FAULTS, Skip, Subject, describe_error, make_batches
from competition.training.opened import opened_by
from competition.training.recipe import Recipe
from competition.training.solution import coerce, shapes

NUM_SAMPLES = 4  # of Config.search
SOURCE = re.compile(r"https?://|doi\b|\b10\.\d{4,}/|et al\b|arxiv|\bsources?\b", re.IGNORECASE)


def check_readme(subject: Subject) -> str:
    path = subject.solution.folder / "README.md"
    if not path.exists():
        return "README.md is missing; wanted the idea, its source and what differs from it"
    if not SOURCE.search(path.read_text(encoding="utf-8", errors="replace")):
        return (
            "README.md names no source; wanted a link, a DOI or a line 'Source: ...', which may say that the "
            "idea is your own"
        )
    return ""


def check_config(subject: Subject) -> str:
    config_class = subject.solution.Config
    if not config_class.__dataclass_params__.frozen:
        return "Config is mutable; wanted @dataclass(frozen=True)"
    names = [each.name for each in dataclasses.fields(config_class)]
    known = [each.name for each in dataclasses.fields(Recipe)]
    for name in names:
        near = get_close_matches(name, known, n=1, cutoff=0.85)
        if name not in known and near and near[0] not in names:
            return f"Config.{name} is not a field that the harness reads; did you mean {near[0]!r}?"
    _require_same_from_toml(subject.config)
    return ""


def _require_same_from_toml(config: Any) -> None:
    """Raise ValueError where a Config written to TOML is not read back as it was."""
    for name, value in dataclasses.asdict(config).items():
        if value is None:
            continue
        text = toml.dumps({name: value})
        back = coerce(type(config), name, tomllib.loads(text)[name])
        if back != value:
            raise ValueError(f"Config.{name} = {value!r} is read back from TOML as {back!r}")


def check_files(subject: Subject) -> str:
    """Name a file of the challenge that the solution opened, at import or in any clause before."""
    inside, own = subject.challenge.folder.resolve(), subject.solution.folder
    found = [(Path(path).resolve(), where) for path, where in opened_by(own)]
    found = [each for each in found if each[0].is_relative_to(inside) and not each[0].is_relative_to(own)]
    if not found:
        return ""
    secret = [each for each in found if each[0].relative_to(inside).parts[0] == "private"]
    path, where = (secret or found)[0]
    what = "the answers that it is to predict" if secret else "a file of the challenge"
    return f"{where} opens {path}, {what}; wanted a solution that learns from its arguments alone"


def check_search(subject: Subject) -> str:
    if not hasattr(subject.solution.Config, "search"):
        raise Skip("Config.search is not defined: there is nothing to tune")
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
            _require_same_from_toml(config)
            _predict_two_rows(subject, config)
        except optuna.TrialPruned:
            continue
        except FAULTS as error:
            drawn = ", ".join(f"{name}={value}" for name, value in trial.params.items())
            fault = describe_error(error, subject.solution.folder)
            return f"with {drawn}: {fault}. Likely: a range that is too wide"
    return ""


def _predict_two_rows(subject: Subject, config: Any) -> None:
    """Build the model of a Config and predict two rows: on fake tensors, or on real ones where that fails."""
    if subject.solution.Model is None:
        return
    wanted = shapes(config, subject.challenge.declaration)
    inputs = make_batches(subject, subject.input_names, config).inputs(subject.rows[:2])
    try:
        _predict_fake_rows(subject.solution.Model, config, wanted, inputs)
    except FAULTS:
        # Code that depends on values fails on fake tensors; only what fails on real ones, too, is a fault.
        model = subject.solution.Model(config, wanted).eval()
        with torch.no_grad():
            model(**inputs)


def _predict_fake_rows(model_class: Any, config: Any, wanted: Any, inputs: dict[str, Tensor]) -> None:
    """Build and run a model on tensors that have a shape and a device, but no memory."""
    from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

    cpu, mode = torch.device("cpu"), FakeTensorMode()
    with torch.device("meta"):
        model = model_class(config, wanted).eval()
    tensors = dict([*model.named_parameters(), *model.named_buffers()])
    state: dict[str, Tensor] = {
        name: FakeTensor(mode, value.detach(), cpu) for name, value in tensors.items()
    }
    with mode, torch.no_grad():
        fake = {name: torch.zeros(value.shape, dtype=value.dtype) for name, value in inputs.items()}
        torch.func.functional_call(model, state, (), fake)
