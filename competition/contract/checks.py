"""The contract of a solution, as one function: what a model must do before its score means anything.

Every check looks at real rows of the challenge, raises nothing, and names the likely mistake.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from competition.base.errors import InputError
from competition.contract import estimator, folder, memory, model, training
from competition.contract.subject import FAULTS, Check, Finding, Skip, Subject, spell
from competition.data.challenge import Challenge
from competition.training.solution import Solution

FOLDER_CHECKS = (Check("README", folder.check_readme), Check("Config", folder.check_config))
MODEL_CHECKS = (
    Check("inputs", model.check_inputs),
    Check("seed", model.check_seed, ("inputs",)),
    Check("prediction", model.check_prediction, ("seed",)),
    Check("repeat", model.check_repeat, ("prediction",)),
    Check("batch-mates", model.check_batch_mates, ("repeat",)),
    Check("round trip", model.check_round_trip, ("repeat",)),
    Check("loss", training.check_loss, ("prediction",)),
    Check("network in loss", training.check_network_in_loss, ("loss",)),
    Check("mean loss", training.check_mean_loss, ("loss",)),
    Check("gradients", training.check_gradients, ("loss",)),
    Check("optimizer", training.check_optimizer, ("gradients",)),
    Check("search", folder.check_search, ("Config", "prediction")),
    Check("32 rows by heart", memory.check_overfit, ("repeat", "gradients")),
)
ESTIMATOR_CHECKS = (
    Check("prediction", estimator.check_fit),
    Check("constant", estimator.check_constant, ("prediction",)),
    Check("seed", estimator.check_seed, ("prediction",)),
    Check("batch-mates", estimator.check_mates, ("seed",)),
    Check("round trip", estimator.check_round_trip, ("prediction",)),
    Check("search", folder.check_search, ("Config",)),
)


def require_contract(
    solution: Solution, opened: Challenge, config: Any, *, device: torch.device, seconds: float = 10.0
) -> list[Finding]:
    """Return the findings of check_contract, or raise one InputError that lists every fault."""
    findings = check_contract(solution, opened, config, device=device, seconds=seconds)
    faults = [f"  {finding.name}: {finding.message}" for finding in findings if finding.ok is False]
    if faults:
        heading = f"{solution.name} breaks the contract of a solution (--no-check runs it all the same):"
        raise InputError("\n".join([heading, *faults]))
    return findings


def check_contract(
    solution: Solution, opened: Challenge, config: Any, *, device: torch.device, seconds: float
) -> list[Finding]:
    """Hold a solution to the contract, on rows of the challenge; seconds as for make_checks."""
    return list(make_checks(solution, opened, config, device=device, seconds=seconds))


def make_checks(
    solution: Solution, opened: Challenge, config: Any, *, device: torch.device, seconds: float
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
        fault = spell(error, subject.solution.folder)
    return Finding(check.name, not fault, fault)


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Keep a GPU from rounding to 10 bits, which would look like a dependence on batch-mates."""
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield
