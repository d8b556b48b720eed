"""The Optuna study of a tuning task: on disk, resumed after a kill, with the defaults as its first trial."""

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from competition.base.errors import InputError
from competition.base.files import write_text
from competition.training import randomness
from competition.training.runs import lock_folder
from competition.tuning.space import DefaultTrial, draw
from competition.tuning.task import TuningTask

JOURNAL = "journal.log"
STARTUP_TRIALS = 4  # ended before any is pruned


@contextmanager
def open_study(task: TuningTask, storage: str | None) -> Iterator[optuna.Study | None]:
    """Open the study of a task, new or as it was left; None on all processes but the main one.

    storage is an Optuna storage URL. Without one the study is a journal in the task's folder, which one
    command at a time may write.
    """
    if not task.accelerator.is_main_process:
        yield None
        return
    task.folder.mkdir(parents=True, exist_ok=True)
    with closing(lock_folder(task.folder)) if storage is None else nullcontext():
        write_text(task.folder / "study.json", json.dumps(task.identity, indent=1) + "\n")
        study = create_or_load(task, storage or task.folder)
        if storage is None and (killed := close_killed(study)):
            print(f"resumed    killed trials to be run again: {killed}")
        print(f"study      {study.study_name} in {task.folder}", flush=True)
        yield study


def journal(folder: Path) -> JournalStorage:
    """Return the journal file of a folder as an Optuna storage."""
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    return JournalStorage(JournalFileBackend(str(folder / JOURNAL)))


def create_or_load(task: TuningTask, storage: str | Path) -> optuna.Study:
    """Return the study of a task; its name changes with all that the scores depend on.

    Raises InputError where the storage cannot be opened or read.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return _create_or_load(task, storage)
    except (SQLAlchemyError, optuna.exceptions.OptunaError, ImportError, ValueError, LookupError) as error:
        where = f"--storage {storage}" if isinstance(storage, str) else str(storage / JOURNAL)
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(
            f"{where} cannot be opened as an Optuna storage ({reason}); wanted a URL such as sqlite:///tune.db"
        ) from error


def _create_or_load(task: TuningTask, storage: str | Path) -> optuna.Study:
    study = optuna.create_study(
        study_name=f"{task.solution.name}-{task.challenge.declaration.name}-{task.digest}",
        storage=storage if isinstance(storage, str) else journal(storage),
        direction=StudyDirection[task.challenge.declaration.primary.direction.upper()],
        # The first of four folds is enough to prune a bad trial; WilcoxonPruner could not before the last.
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=0),
        load_if_exists=True,
    )
    study.set_user_attr("identity", json.loads(json.dumps(task.identity)))
    return study


def close_killed(study: optuna.Study) -> int:
    """Close the trials that a killed process left running, and return how many.

    They need not be queued: the next trial is drawn from the same seed and history, so it is the same again.
    """
    killed = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in killed:
        study.tell(trial.number, state=TrialState.FAIL)
    return len(killed)


def add_defaults(study: optuna.Study, defaults: Any, scores: Sequence[float]) -> None:
    """Record what the defaults scored on each fold as the study's first trial."""
    trial = DefaultTrial(defaults)
    draw(defaults, trial)
    study.add_trial(
        create_trial(
            value=mean(scores),
            params=trial.params,
            distributions=trial.distributions,
            intermediate_values={n: mean(scores[: n + 1]) for n in range(len(scores))},
            user_attrs={"defaults": True, "fold_scores": list(scores), "changes": {}},
        )
    )


def mean(scores: Sequence[float]) -> float:
    return sum(scores) / len(scores)


def has_defaults(study: optuna.Study) -> bool:
    return any(map(is_defaults, study.get_trials(deepcopy=False)))


def is_defaults(trial: FrozenTrial) -> bool:
    return bool(trial.user_attrs.get("defaults"))


def ask(study: optuna.Study, seed: int) -> optuna.Trial:
    """Ask for a trial; its draws depend on the seed and its place, so a resumed search draws the same."""
    place = place_of(study, len(study.get_trials(deepcopy=False)))
    study.sampler = optuna.samplers.TPESampler(
        seed=randomness.derive("trial", seed, place) % 2**32, multivariate=True, n_startup_trials=8
    )
    return study.ask()


def place_of(study: optuna.Study, number: int) -> int:
    """Return how many trials before this number were not killed: its number in an unbroken search."""
    return sum(not is_killed(trial) for trial in study.get_trials(deepcopy=False)[:number])


def is_killed(trial: FrozenTrial) -> bool:
    """Say whether a trial was closed without an end of its own: one that failed has a reason."""
    return trial.state == TrialState.FAIL and "reason" not in trial.user_attrs


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that ran to an end; a killed one did not, and is run again."""
    closed = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    return [trial for trial in closed if not is_killed(trial)]


def ranked(study: optuna.Study) -> list[FrozenTrial]:
    """Return the complete trials, the best first."""
    sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(complete, key=lambda trial: sign * (trial.value or 0.0))


def best_changes(study: optuna.Study) -> dict[str, object] | None:
    """Return the fields that the best trial changes; None where no trial is better than the defaults."""
    best = ranked(study)[0]
    if is_defaults(best):
        return None
    changes = best.user_attrs["changes"]  # read from JSON, which has no tuples
    return {name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()}


def count_states(study: optuna.Study) -> dict[str, int]:
    """Count the trials that are complete, pruned, failed with a reason, and killed."""
    trials, whole = study.get_trials(deepcopy=False), ended(study)
    names = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    counts = {name: sum(trial.state == state for trial in whole) for state, name in names.items()}
    return counts | {"killed": sum(trial.state.is_finished() for trial in trials) - len(whole)}
