"""Predict a submission again from the weights of its run, and say how far it is from what was submitted.

An ensemble has no weights of its own: each member is predicted again, then the members are blended again.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from competition.base.errors import InputError
from competition.base.files import file_digest
from competition.base.names import require_name
from competition.data.challenge import Challenge
from competition.data.folds import FoldTable
from competition.judging.manifest import Manifest
from competition.training.cross_validation import predict_test
from competition.training.job import Job
from competition.training.processes import make_accelerator
from competition.training.recipe import extend
from competition.training.record import RunRecord
from competition.training.solution import coerce, load_solution

AGREE = (
    1e-3  # standard deviations of the predictions: more than another machine's rounding, less than any change
)


class Verification(NamedTuple):
    """The largest difference between a submission and what it came from, and what is allowed."""

    file: Path
    source: str
    difference: float
    allowed: float

    @property
    def ok(self) -> bool:
        return self.difference <= self.allowed


def verify_run(
    path: Path, submitted: np.ndarray, manifest: Manifest, challenge: Challenge, runs: Path
) -> Verification:
    """Compare submitted predictions (N, T) with those of the weights and the source that the run kept.

    Raises InputError where the run is not here, or its weights or source are not those of the manifest.
    """
    return compare(path, "its weights", _predict(manifest, challenge, runs), submitted)


def compare(path: Path, source: str, again: np.ndarray, submitted: np.ndarray) -> Verification:
    allowed = AGREE * float(submitted.std(axis=0).max())
    return Verification(path, source, float(np.abs(again - submitted).max()), allowed)


def _predict(manifest: Manifest, challenge: Challenge, runs: Path) -> np.ndarray:
    """Predict the test rows (N, T) by the mean over the models that a run kept."""
    folder = _find_run(manifest, challenge, runs)
    solution = load_solution(folder / "source")
    if solution.digest != manifest.source_digest:
        raise InputError(f"{solution.folder} is not the source that the manifest names (sha256 differs)")
    record = RunRecord.read(folder)
    config_class = extend(solution.Config, record.config)
    fields = {name: coerce(config_class, name, value) for name, value in record.config.items()}
    num_folds = record.num_folds
    nothing = np.empty(0, dtype=np.int64)
    folds = FoldTable(nothing, nothing.astype(np.uint64), num_folds)
    accelerator = make_accelerator("auto", record.precision)
    job = Job(solution, challenge, config_class(**fields), folds, folder, record.seed, accelerator)
    return np.asarray(
        np.mean([predict_test(job, fold) for fold in range(num_folds)], axis=0, dtype=np.float64)
    )


def _find_run(manifest: Manifest, challenge: Challenge, runs: Path) -> Path:
    for name in ("challenge", "solution", "run"):  # whose source is imported
        require_name(getattr(manifest, name), f"{name} of a manifest", spaced=True)
    folder = runs / manifest.challenge / manifest.solution / manifest.run
    if manifest.kind != "solution" or not manifest.weights:
        raise InputError(f"{manifest.solution} {manifest.run} has no weights of its own to predict from")
    if manifest.challenge_digest != challenge.digest:
        raise InputError(f"{manifest.run} was made for another build of {manifest.challenge!r}")
    for name, wanted in manifest.weights.items():
        path = folder / name
        if not path.exists():
            raise InputError(f"{path} is not here; wanted the run that made the submission")
        if file_digest(path) != wanted:
            raise InputError(f"{path} is not the file that the manifest names (sha256 differs)")
    return folder
