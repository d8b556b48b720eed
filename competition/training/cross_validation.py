"""Train one model a fold; each training row is predicted by the model that did not see its fold."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from competition.base.files import write_text
from competition.base.typed import read_json
from competition.data.challenge import target_names
from competition.training.estimator_fold import estimator_test, load_estimator, run_estimator_fold
from competition.training.job import Cost, Job
from competition.training.model_fold import load_network, model_test, run_model_fold

COLLAPSED = (
    1e-3  # predictions that vary less than this, in standard deviations of the target, are one constant
)


class FoldRecord(Cost):
    """What fold.json says of a finished fold."""

    fold: int
    train_rows: int  # those of the validation split included
    held_out_rows: int
    collapsed: bool


class Predictions(NamedTuple):
    """What a run predicts, and what it cost."""

    oof: np.ndarray  # (N, T)
    test: np.ndarray | None  # (M, T): the mean over the folds' models
    folds: list[FoldRecord]


def rows_per_fold(num_rows: int, num_folds: int = 4) -> int:
    """Return how many of num_rows a model is trained on, which is what Config.adapt gets."""
    return num_rows * (num_folds - 1) // num_folds


def cross_validate(job: Job) -> Predictions:
    """Train and predict fold by fold; folds that are finished already are read back."""
    folders = [job.fold_folder(fold) for fold in range(job.folds.num_folds)]
    for fold, folder in enumerate(folders):
        if not (folder / "fold.json").exists():
            run_fold(job, fold)
        job.accelerator.wait_for_everyone()
    records = [read_json(folder / "fold.json", FoldRecord) for folder in folders]
    num_targets = len(job.opened.declaration.targets)
    oof = np.empty((len(job.target), num_targets), dtype=np.float32)
    for fold, folder in enumerate(folders):
        mine = job.folds.fold == fold
        oof[mine] = read_predictions(folder / "oof.npy", (int(mine.sum()), num_targets))
    test = None
    if job.opened.test is not None:
        shape = (len(job.opened.test), num_targets)
        tests = np.stack([read_predictions(folder / "test.npy", shape) for folder in folders])
        test = tests.mean(axis=0, dtype=np.float64)
    return Predictions(oof, test, records)


def read_predictions(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Read the predictions that a fold has written; InputError where the file is missing or damaged."""
    try:
        predictions: np.ndarray = np.load(path, allow_pickle=False)
        if predictions.shape == shape and predictions.dtype.kind == "f":
            return predictions
        reason = f"it holds {predictions.dtype} {predictions.shape}, wanted numbers {shape}"
    except (OSError, ValueError, EOFError) as error:
        reason = str(error)
    raise InputError(
        f"{path} is damaged: {reason}; delete {path.parent} and train the fold again by --resume"
    )


def write_oof(job: Job, predictions: Predictions) -> Path:
    """Write oof.csv: the id, the fold, and a column of out-of-fold predictions for each target."""
    columns = dict(zip(target_names(job.opened.declaration), predictions.oof.T, strict=True))
    frame = pd.DataFrame({"id": job.opened.train.rows["id"], "fold": job.folds.fold, **columns})
    path = job.folder / "oof.csv"
    write_text(path, frame.to_csv(index=False, float_format="%.9g", lineterminator="\n"))
    return path


def run_fold(job: Job, fold: int) -> None:
    """Train the model of one fold and write its weights, history and predictions."""
    folder = job.fold_folder(fold)
    if job.accelerator.is_main_process:
        folder.mkdir(exist_ok=True)
    job.accelerator.wait_for_everyone()
    trained_on = job.folds.fold != fold
    if job.excluded is not None:
        trained_on &= ~job.excluded
    train_rows, held_out = np.flatnonzero(trained_on), np.flatnonzero(job.folds.fold == fold)
    fit_and_predict = run_model_fold if job.solution.Model is not None else run_estimator_fold
    oof, test, cost = fit_and_predict(job, fold, train_rows, held_out)
    if not job.accelerator.is_main_process:
        return
    np.save(folder / "oof.npy", oof)
    if test is not None:
        np.save(folder / "test.npy", test)
    record: FoldRecord = {
        **cost, "fold": fold, "train_rows": len(train_rows), "held_out_rows": len(held_out),
        "collapsed": collapsed(oof, job.target),
    }  # fmt: skip
    write_text(folder / "fold.json", json.dumps(record, indent=1) + "\n")


def collapsed(predictions: np.ndarray, target: np.ndarray) -> bool:
    """Say whether predictions (N, T) are all but one constant for some target."""
    return bool((predictions.std(axis=0) < COLLAPSED * target.std(axis=0)).any())


def predict_test(job: Job, fold: int) -> np.ndarray:
    """Return what the finished model of a fold predicts for the test rows (M, T), from its saved weights."""
    if job.solution.Model is not None:
        return model_test(job, load_network(job, fold))
    return estimator_test(job, load_estimator(job, fold))
