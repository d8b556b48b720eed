"""What all trials of a tuning share, and the training of one of its models."""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator

from competition.base.errors import InputError
from competition.data.challenge import Challenge
from competition.data.folds import NUM_FOLDS, FoldTable, declared_folds, fold_table
from competition.data.leaks import leaks
from competition.training.cross_validation import read_predictions, rows_per_fold, run_fold
from competition.training.cuts import cuts
from competition.training.job import Job
from competition.training.solution import (
    Solution,
    challenge_of,
    coerce,
    configure,
    load_solution,
    parse_setting,
)


@dataclass(frozen=True)
class TuningTask:
    """What all trials share: the data, its folds, the default Config and the fields that are fixed."""

    solution: Solution
    challenge: Challenge
    folds: FoldTable  # the search folds, and the hold-out as the last
    defaults: Any  # the solution's Config, adapted to the training rows of a trial
    fixed: dict[str, object]
    runs: Path  # the solution's, of this challenge
    seed: int
    accelerator: Accelerator

    @property
    def hold_out(self) -> int:
        """The fold that no trial sees."""
        return self.folds.num_folds - 1

    @cached_property
    def identity(self) -> dict[str, object]:
        """All that the scores of the trials depend on; a study is resumed where it is the same."""
        return {
            "solution": self.solution.name,
            "challenge": self.challenge.declaration.name,
            "challenge_digest": self.challenge.digest,
            "source_digest": self.solution.digest,
            "fold_digest": self.folds.digest,
            "base": dataclasses.asdict(self.defaults),
            "fixed": self.fixed,
            "seed": self.seed,
            "precision": self.accelerator.mixed_precision,
        }

    @cached_property
    def digest(self) -> str:
        """A short hash of the identity, taken once: the source may be edited while the search runs."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def folder(self) -> Path:
        """The folder of the study and of the models of its trials."""
        return self.runs / f"tune-{self.digest}"


def load_tunable(folder: Path) -> Solution:
    """Load a solution; InputError where its Config defines no search."""
    solution = load_solution(folder)
    if not hasattr(solution.Config, "search"):
        raise InputError(f"{solution.name}: Config has no search(trial), so there is nothing to tune")
    return solution


def prepare(
    solution: Solution,
    accelerator: Accelerator,
    challenge_name: str | None = None,
    *,
    num_folds: int | None,
    seed: int,
    settings: Sequence[str],
    data: Path,
    runs: Path,
    ignore_folds: bool = False,
) -> TuningTask:
    """Open the challenge, assign num_folds search folds and a hold-out, and configure the defaults."""
    with accelerator.main_process_first():
        challenge = challenge_of(solution, challenge_name, data)
        challenge = challenge._replace(test=None)  # tuning has no use for test rows
        folds = search_folds(challenge, num_folds, ignore_declared=ignore_folds)
    num_folds = folds.num_folds - 1
    num_rows = rows_per_fold(int((folds.fold < num_folds).sum()), num_folds)  # but for the hold-out
    defaults, _ = configure(solution, num_rows, settings=settings, tuned_for=None)
    names = solution.input_names(challenge.declaration)
    if accelerator.is_main_process:
        print(f"folds      {folds.text}: {num_folds} for the search, the last is the hold-out")
        for warning in (*leaks(challenge, folds), *cuts(challenge, defaults, names)):
            print(f"warning    {warning}")
    fixed = {name: coerce(type(defaults), name, value) for name, value in map(parse_setting, settings)}
    runs = runs / challenge.declaration.name / solution.name
    return TuningTask(solution, challenge, folds, defaults, fixed, runs, seed, accelerator)


def search_folds(challenge: Challenge, num_folds: int | None, *, ignore_declared: bool) -> FoldTable:
    """Assign num_folds search folds, or as many as the rows declare, and a hold-out as the last."""
    if num_folds is not None and num_folds < 2:
        raise InputError(f"--folds {num_folds}: wanted at least 2, besides the hold-out")
    declared = 0 if ignore_declared else len(declared_folds(challenge.train))
    if declared and (declared < 3 or num_folds not in (None, declared - 1)):
        asked = "" if num_folds is None else f"--folds {num_folds}: "
        wanted = f"--folds {declared - 1}" if declared > 2 else "3 declared folds or more"
        raise InputError(
            f"{asked}the rows declare {declared} folds, of which one is the hold-out; "
            f"wanted {wanted}, or --ignore-folds to assign others"
        )
    if num_folds is None and not declared:
        num_folds = NUM_FOLDS
    return fold_table(
        challenge.train, challenge.declaration, None if num_folds is None else num_folds + 1,
        ignore_declared=ignore_declared, cache=challenge.folder / "cache",
    )  # fmt: skip


def predict_fold(task: TuningTask, config: Any, fold: int) -> np.ndarray:
    """Train on the other search folds and return predictions (N, T) of this one, or of the hold-out.

    The predictions stay on disk and are read back the next time; the weights are deleted.
    """
    fields = json.dumps(dataclasses.asdict(config), sort_keys=True, default=str)
    folder = task.folder / hashlib.sha256(fields.encode()).hexdigest()[:12]
    excluded = task.folds.fold == task.hold_out if fold != task.hold_out else None
    job = Job(
        task.solution, task.challenge, config, task.folds, folder, task.seed, task.accelerator,
        quiet=True, excluded=excluded,
    )  # fmt: skip
    if task.accelerator.is_main_process:
        folder.mkdir(parents=True, exist_ok=True)
    task.accelerator.wait_for_everyone()
    if not (folder / f"fold{fold}" / "fold.json").exists():
        run_fold(job, fold)
    task.accelerator.wait_for_everyone()
    if task.accelerator.is_main_process:
        _delete_weights(folder / f"fold{fold}")
    shape = (int((task.folds.fold == fold).sum()), job.target.shape[1])
    return read_predictions(folder / f"fold{fold}" / "oof.npy", shape)


def _delete_weights(folder: Path) -> None:
    """Delete the weights of a fold: those of a thousand trials would fill the disk."""
    for path in folder.rglob("*.safetensors"):
        path.unlink()
    for path in folder.glob("restart*"):
        shutil.rmtree(path)
