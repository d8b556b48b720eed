"""Search a solution's space: each trial is cross-validated on the search folds, bad ones are pruned."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import torch
from optuna.trial import TrialState

from competition.base.errors import InputError
from competition.metrics.registry import METRICS
from competition.training.processes import share_object
from competition.tuning.report import show_trials
from competition.tuning.space import draw
from competition.tuning.study import add_defaults, ask, best_changes, ended, has_defaults, mean, place_of
from competition.tuning.task import TuningTask, predict_fold


def search(task: TuningTask, study: optuna.Study | None, num_trials: int) -> dict[str, object] | None:
    """Run the trials that are missing of num_trials and show the best.

    Returns the fields that the best trial changes, None where it is the defaults.
    """
    if not share_object(study is not None and has_defaults(study)):
        scores = score_folds(task, task.defaults)
        if study is not None:
            add_defaults(study, task.defaults, scores)
            print(f"defaults   {mean(scores):.4f}", flush=True)
    while True:
        trial, changes = (None, None) if study is None else next_trial(task, study, num_trials)
        if (changes := share_object(changes)) is None:
            break
        run_trial(task, trial, changes)
    best = None
    if study is not None:
        show_trials(study)
        best = best_changes(study)
        if best is None:
            print("no trial is better than the defaults; tuned.toml is left unchanged")
    shared: dict[str, object] | None = share_object(best)
    return shared


def next_trial(
    task: TuningTask, study: optuna.Study, num_trials: int
) -> tuple[optuna.Trial, dict[str, object]] | tuple[None, None]:
    """Ask for the next trial and the fields it changes; None where num_trials have ended."""
    before = dataclasses.asdict(task.defaults)
    while len(ended(study)) < num_trials:
        trial = ask(study, task.seed)
        try:
            config = dataclasses.replace(draw(task.defaults, trial), **task.fixed)
        except optuna.TrialPruned:
            prune(trial)
        except (TypeError, ValueError) as error:
            fail(trial, error)
        else:
            changes = {k: v for k, v in dataclasses.asdict(config).items() if v != before[k]}
            trial.set_user_attr("changes", json.loads(json.dumps(changes)))
            return trial, changes
    return None, None


def run_trial(task: TuningTask, trial: optuna.Trial | None, changes: Mapping[str, object]) -> None:
    """Cross-validate one trial and report to its study; trial is None on all processes but the main one."""
    try:
        scores = score_folds(task, dataclasses.replace(task.defaults, **changes), trial)
    except optuna.TrialPruned:
        prune(trial)
    except (InputError, torch.OutOfMemoryError) as error:
        fail(trial, error)
    else:
        complete(trial, scores)


def complete(trial: optuna.Trial | None, scores: list[float]) -> None:
    if trial is not None:
        trial.set_user_attr("fold_scores", scores)
        trial.study.tell(trial, mean(scores))
        show(trial, f"{mean(scores):.4f}  best {trial.study.best_value:.4f}")


def prune(trial: optuna.Trial | None) -> None:
    if trial is not None:
        trial.study.tell(trial, state=TrialState.PRUNED)
        show(trial, "pruned")


def fail(trial: optuna.Trial | None, error: Exception) -> None:
    if trial is not None:
        trial.set_user_attr("reason", str(error))
        trial.study.tell(trial, state=TrialState.FAIL)
        show(trial, f"failed: {error}")


def show(trial: optuna.Trial, end: str) -> None:
    print(f"trial {place_of(trial.study, trial.number):<4} {end}", flush=True)


def score_folds(task: TuningTask, config: Any, trial: optuna.Trial | None = None) -> list[float]:
    """Return the challenge's primary score of each search fold; TrialPruned where the first ones are bad."""
    target = np.asarray(task.challenge.train.target)
    metric = METRICS[task.challenge.declaration.primary.metric]
    scores: list[float] = []
    for fold in range(task.hold_out):
        predictions = predict_fold(task, config, fold)
        scores.append(float(metric.function(target[task.folds.fold == fold], predictions)))
        if trial is not None:
            trial.report(mean(scores), fold)
        if share_object(trial is not None and fold + 1 < task.hold_out and trial.should_prune()):
            raise optuna.TrialPruned
    return scores
