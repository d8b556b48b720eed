"""Compare the best trial with the defaults on the hold-out, and keep it where the gain is significant."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import optuna

from competition.judging.bootstrap import Gain, paired_gain
from competition.training.solution import describe
from competition.training.tuned import write_tuned
from competition.tuning.study import ended
from competition.tuning.task import TuningTask, predict_fold


def compare_on_hold_out(task: TuningTask, study: optuna.Study | None, changes: Mapping[str, object]) -> None:
    """Train defaults and best trial on all search folds, compare them on the hold-out, and write tuned.toml.

    Nothing is written where the 95 % interval of the gain includes zero. study is None on all processes but
    the main one.
    """
    best = dataclasses.replace(task.defaults, **changes)
    before, after = (predict_fold(task, config, task.hold_out) for config in (task.defaults, best))
    if study is None:
        return
    gain = hold_out_gain(task, before, after)
    name = task.challenge.declaration.primary.name
    text = f"{gain.value:+.4f} {name}, 95 % interval {gain.low:+.4f} to {gain.high:+.4f}"
    print(f"gain on the {len(before):,} rows of the hold-out: {text}")
    if gain.low <= 0:
        print("the interval includes zero; tuned.toml is left unchanged")
        return
    fixed = f", with {describe(task.fixed)}" if task.fixed else ""
    note = f"{study.study_name}, {len(ended(study))} trials{fixed}; gain on the hold-out {text}"
    path = write_tuned(task.solution.folder, task.challenge.declaration.name, changes, note)
    print(f"written to {path}; --published ignores it")


def hold_out_gain(task: TuningTask, before: np.ndarray, after: np.ndarray) -> Gain:
    """Return the gain in the primary score of predictions (N, T) of the hold-out, by paired bootstrap."""
    rows = task.folds.fold == task.hold_out
    primary = task.challenge.declaration.primary
    return paired_gain(
        primary.metric, np.asarray(task.challenge.train.target)[rows], before, after,
        higher_is_better=primary.direction == "maximize", group=task.folds.key[rows], seed=task.seed,
    )  # fmt: skip
