"""A search over Config.search that survives kills: Optuna's study on disk, and what it is asked."""

import dataclasses
import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from competition.training import randomness

STARTUP_TRIALS = 4  # finished before any is stopped early


class Laid:
    """Stand in for a Config class in its own search: what is not drawn keeps the adapted value."""

    def __init__(self, base: Any) -> None:
        self.base = base

    def __call__(self, **fields: Any) -> Any:
        return dataclasses.replace(self.base, **fields)

    def __getattr__(self, name: str) -> Any:
        return getattr(type(self.base), name)


def ask(study: optuna.Study, seed: int) -> optuna.Trial:
    """Ask for a trial whose draws follow from the seed and its number: a resumed search goes on alike."""
    number = len(study.get_trials(deepcopy=False))
    study.sampler = optuna.samplers.TPESampler(
        seed=randomness.derive("trial", seed, number) % 2**32, multivariate=True, n_startup_trials=8
    )
    return study.ask()


def draw(base: Any, trial: Any) -> Any:
    """Return the Config that Config.search draws with a trial, laid over base."""
    return type(base).search.__func__(Laid(base), trial)


class Defaults:
    """A trial that answers with a Config's own values and notes those that lie within what may be drawn."""

    def __init__(self, base: Any) -> None:
        self.base = base
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return self._note(name, FloatDistribution(low, high, log=log, step=step), low)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return self._note(name, IntDistribution(low, high, log=log, step=step), low)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._note(name, CategoricalDistribution(choices), choices[0])

    def _note(self, name: str, distribution: BaseDistribution, otherwise: Any) -> Any:
        value = getattr(self.base, name, None)
        try:
            create_trial(value=0.0, params={name: value}, distributions={name: distribution})
        except (TypeError, ValueError):
            return otherwise
        self.params[name], self.distributions[name] = value, distribution
        return value


def open_study(
    folder: Path, identity: Mapping[str, Any], *, maximize: bool, storage: str | None
) -> optuna.Study:
    """Open the study of this identity, new or as it was left.

    storage is an Optuna storage URL; without one it is a journal file in folder.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    where: Any = storage
    if where is None:
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        folder.mkdir(parents=True, exist_ok=True)
        where = JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    study = optuna.create_study(
        study_name=study_name(identity),
        storage=where,
        direction="maximize" if maximize else "minimize",
        # The first of four folds is enough to stop a bad trial; WilcoxonPruner could not before the last.
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=0),
        load_if_exists=True,
    )
    study.set_user_attr("identity", json.loads(json.dumps(identity)))
    return study


def study_name(identity: Mapping[str, Any]) -> str:
    """Return a name that changes with anything the scores depend on."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return f"{identity['solution']}-{identity['challenge']}-{digest[:8]}"


def restart_killed(study: optuna.Study) -> int:
    """Close the trials that a killed process left running, queue them again, and return how many."""
    killed = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in killed:
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)
    return len(killed)


def add_defaults(study: optuna.Study, base: Any, scores: Sequence[float]) -> None:
    """Record what the defaults scored on each fold as the study's first trial."""
    defaults = Defaults(base)
    draw(base, defaults)
    study.add_trial(
        create_trial(
            value=sum(scores) / len(scores),
            params=defaults.params,
            distributions=defaults.distributions,
            intermediate_values={n: sum(scores[: n + 1]) / (n + 1) for n in range(len(scores))},
            user_attrs={"defaults": True, "fold_scores": list(scores), "changes": {}},
        )
    )


def has_defaults(study: optuna.Study) -> bool:
    return any(trial.user_attrs.get("defaults") for trial in study.get_trials(deepcopy=False))


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that were carried to an end; a killed one was not, and is queued again."""
    ended = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    return [trial for trial in ended if trial.state != TrialState.FAIL or "reason" in trial.user_attrs]


def count_states(study: optuna.Study) -> dict[str, int]:
    """Count the trials that are complete, pruned, failed with a reason, and killed."""
    trials, ended = study.get_trials(deepcopy=False), finished(study)
    names = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    counts = {word: sum(trial.state == state for trial in ended) for state, word in names.items()}
    return counts | {"killed": sum(trial.state.is_finished() for trial in trials) - len(ended)}
