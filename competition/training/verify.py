"""Predict a submission again from the weights of its run, and say how far it is from what was submitted.

An ensemble has no weights of its own: each member is predicted again, then the members are blended again.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from competition.data.challenge import OpenChallenge
from competition.data.folds import FoldTable
from competition.data.store import file_digest
from competition.errors import InputError
from competition.judging.manifest import Manifest, read_manifest
from competition.judging.recipe import read_recipe
from competition.training.cross_validation import Job, predict_test
from competition.training.processes import make_accelerator
from competition.training.runs import RECORD
from competition.training.solution import coerce, load_solution

AGREE = (
    1e-3  # standard deviations of the predictions: more than another machine's rounding, less than any change
)


class Verdict(NamedTuple):
    """The largest difference between a submission and what it came from, and what it may be."""

    file: Path
    source: str
    difference: float
    allowed: float

    @property
    def ok(self) -> bool:
        return self.difference <= self.allowed


def verify(
    path: Path, challenge: OpenChallenge, runs: Path, read: Callable[[Path, OpenChallenge], np.ndarray]
) -> Iterator[Verdict]:
    """Compare a submission with what the weights and the source that its run kept predict.

    Of an ensemble each member is compared so, and last the file with the blend of the members' files, which
    read turns into predictions (N, T). Raises InputError where a run or a member is not here, or is not what
    the manifest names.
    """
    manifest = read_manifest(path.with_suffix(".json"))
    if file_digest(path) != manifest.csv_sha256:
        raise InputError(f"{path} is not the file that its manifest describes")
    submitted = read(path, challenge)
    if manifest.kind != "ensemble":
        yield _compare(path, "its weights", _predict(manifest, challenge, runs), submitted)
        return
    recipe = read_recipe(manifest.config, path.name)
    members = [path.with_name(f"{member.name}.csv") for member in recipe.members]
    for member, wanted in zip(members, recipe.members, strict=True):
        if not member.exists():
            raise InputError(f"{member} is not here; wanted every member of {path.name}")
        if file_digest(member) != wanted.csv_sha256:
            raise InputError(f"{member} is not the member that {path.name} was made of (sha256 differs)")
        yield from verify(member, challenge, runs, read)
    again = recipe(np.stack([read(member, challenge) for member in members]))
    yield _compare(path, f"the blend of its {len(members)} members", again, submitted)


def _compare(path: Path, source: str, again: np.ndarray, submitted: np.ndarray) -> Verdict:
    allowed = AGREE * float(submitted.std(axis=0).max())
    return Verdict(path, source, float(np.abs(again - submitted).max()), allowed)


def _predict(manifest: Manifest, challenge: OpenChallenge, runs: Path) -> np.ndarray:
    """Predict the test rows (N, T) by the mean over the models that a run kept."""
    folder = _find_run(manifest, challenge, runs)
    solution = load_solution(folder / "source")
    if solution.digest != manifest.source_digest:
        raise InputError(f"{solution.folder} is not the source that the manifest names (sha256 differs)")
    record = json.loads((folder / RECORD).read_text())
    fields = {name: coerce(solution.Config, name, value) for name, value in record["config"].items()}
    num_folds = record["num_folds"]
    nothing = np.empty(0, dtype=np.int64)
    folds = FoldTable(nothing, nothing.astype(np.uint64), num_folds)
    accelerator = make_accelerator("auto", record["precision"])
    job = Job(solution, challenge, solution.Config(**fields), folds, folder, record["seed"], accelerator)
    return np.asarray(
        np.mean([predict_test(job, fold) for fold in range(num_folds)], axis=0, dtype=np.float64)
    )


def _find_run(manifest: Manifest, challenge: OpenChallenge, runs: Path) -> Path:
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
