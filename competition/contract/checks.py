"""Check a solution against its contract: what a model must do before its score means anything.

Every clause is checked on real rows of the challenge; a fault is reported with its likely cause.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from competition.base.errors import InputError
from competition.contract import estimator, folder, model, overfit, training
from competition.contract.subject import FAULTS, Clause, Outcome, Refusal, Skip, Subject, describe_error
from competition.data.challenge import Challenge
from competition.training.opened import watched
from competition.training.solution import Solution

FOLDER_CLAUSES = (Clause("README", folder.check_readme, advisory=True), Clause("Config", folder.check_config))
MODEL_CLAUSES = (
    Clause("inputs", model.check_inputs),
    Clause("seed", model.check_seed, ("inputs",)),
    Clause("predictions", model.check_predictions, ("seed",)),
    Clause("repeatability", model.check_repeatability, ("predictions",)),
    Clause("row independence", model.check_row_independence, ("repeatability",)),
    Clause("save and load", model.check_save_and_load, ("repeatability",)),
    Clause("loss", training.check_loss, ("predictions",)),
    Clause("parameter-free loss", training.check_parameter_free_loss, ("loss",)),
    Clause("mean loss", training.check_mean_loss, ("loss",)),
    Clause("gradients", training.check_gradients, ("loss",)),
    Clause("optimizer", training.check_optimizer, ("gradients",)),
    Clause("search", folder.check_search, ("Config", "predictions")),
    Clause("files", folder.check_files),
    Clause("overfitting", overfit.check_overfitting, ("repeatability", "gradients")),
)
ESTIMATOR_CLAUSES = (
    Clause("predictions", estimator.check_fit),
    Clause("variation", estimator.check_variation, ("predictions",)),
    Clause("seed", estimator.check_seed, ("predictions",)),
    Clause("row independence", estimator.check_row_independence, ("seed",)),
    Clause("save and load", estimator.check_save_and_load, ("predictions",)),
    Clause("search", folder.check_search, ("Config",)),
    Clause("files", folder.check_files),
)


def require_contract(
    solution: Solution, challenge: Challenge, config: Any, *, device: torch.device, seconds: float = 10.0
) -> list[Outcome]:
    """Print warnings and return the outcomes of check_contract; one InputError lists every fault."""
    outcomes = check_contract(solution, challenge, config, device=device, seconds=seconds)
    for outcome in outcomes:
        if outcome.passed and outcome.message:
            print(f"warning    {outcome.message}")
    faults = [f"  {outcome.clause}: {outcome.message}" for outcome in outcomes if outcome.passed is False]
    if faults:
        heading = f"{solution.name} breaks the contract of a solution (--no-check runs it anyway):"
        raise InputError("\n".join([heading, *faults]))
    for outcome in outcomes:
        if outcome.clause == "variation" and outcome.passed is None:
            print(f"warning    {outcome.message}")
    return outcomes


def check_contract(
    solution: Solution, challenge: Challenge, config: Any, *, device: torch.device, seconds: float
) -> list[Outcome]:
    """Check every clause of the contract; the arguments are those of check_clauses."""
    return list(check_clauses(solution, challenge, config, device=device, seconds=seconds))


def check_clauses(
    solution: Solution, challenge: Challenge, config: Any, *, device: torch.device, seconds: float
) -> Iterator[Outcome]:
    """Check one clause after the other on training rows, and yield each outcome.

    seconds limits the time for overfitting 32 rows; a solution that would take longer skips that clause.
    """
    subject = Subject(solution, challenge, config, device, seconds)
    clauses = MODEL_CLAUSES if solution.Model is not None else ESTIMATOR_CLAUSES
    passed: set[str] = set()
    with _full_precision(device), watched(solution.folder):
        for clause in (*FOLDER_CLAUSES, *clauses):
            outcome = _check(clause, subject, passed)
            if outcome.passed:
                passed.add(clause.name)
            yield outcome


def _check(clause: Clause, subject: Subject, passed: set[str]) -> Outcome:
    missing = [name for name in clause.needs if name not in passed]
    if missing:
        return Outcome(clause.name, None, f"needs {missing[0]!r} to pass")
    try:
        fault = clause.find_fault(subject)
    except Skip as reason:
        return Outcome(clause.name, None, str(reason))
    except Refusal:
        raise
    except FAULTS as error:
        fault = describe_error(error, subject.solution.folder)
    return Outcome(clause.name, clause.advisory or not fault, fault)


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Keep a GPU from rounding to 10 bits, which would look like a dependence on other rows in the batch."""
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield
