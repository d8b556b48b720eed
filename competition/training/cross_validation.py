"""Train one model a fold; each training row is predicted by the model that did not see its fold."""

import csv
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from competition.base.errors import InputError
from competition.base.files import write_text
from competition.base.terminal import Tracker
from competition.data.challenge import Challenge
from competition.data.folds import FoldTable, inner_split
from competition.metrics.metrics import METRICS, UndefinedMetric
from competition.training import checkpoint, randomness
from competition.training.batches import Batches
from competition.training.fit import WEIGHTS, Counter, Fit, Inner
from competition.training.predict import predict
from competition.training.pretrained import load_matching, weights_of
from competition.training.solution import Solution, setting, shapes

INNER_FRACTION = 0.1  # of the training rows, held out for early stopping
COLLAPSED = (
    1e-3  # predictions that vary less than this, in standard deviations of the target, are one constant
)


class Predictions(NamedTuple):
    """What a run predicts, and what it cost."""

    oof: np.ndarray  # (N, T)
    test: np.ndarray | None  # (M, T): the mean over the folds' models
    folds: list[dict[str, Any]]  # a record a fold: rows, seconds, parameters, collapsed


@dataclass(frozen=True)
class Job:
    """All that the training of a fold depends on."""

    solution: Solution
    opened: Challenge
    config: Any
    folds: FoldTable
    folder: Path
    seed: int
    accelerator: Accelerator
    save_seconds: float = 60.0
    quiet: bool = False
    init: Path | None = None  # the run whose weights each fold starts from
    excluded: np.ndarray | None = None  # (N,) bool: training rows that no model is trained on


def cross_validate(job: Job) -> Predictions:
    """Train and predict fold by fold; folds that are finished already are read back."""
    num_folds = job.folds.num_folds
    for fold in range(num_folds):
        if not (_folder(job, fold) / "fold.json").exists():
            run_fold(job, fold)
        job.accelerator.wait_for_everyone()
    folders = [_folder(job, fold) for fold in range(num_folds)]
    records = [json.loads((folder / "fold.json").read_text()) for folder in folders]
    assert job.opened.train.target is not None
    oof = np.empty(job.opened.train.target.shape, dtype=np.float32)
    for fold, folder in enumerate(folders):
        oof[job.folds.fold == fold] = np.load(folder / "oof.npy")
    test = None
    if job.opened.test is not None:
        tests = np.stack([np.load(folder / "test.npy") for folder in folders])
        test = tests.mean(axis=0, dtype=np.float64)
    return Predictions(oof, test, records)


def write_oof(job: Job, predictions: Predictions) -> Path:
    """Write oof.csv: the id, the fold, and a column of out-of-fold predictions for each target."""
    columns = {target.name: predictions.oof[:, i] for i, target in enumerate(job.opened.declaration.targets)}
    frame = pd.DataFrame({"id": job.opened.train.rows["id"], "fold": job.folds.fold, **columns})
    path = job.folder / "oof.csv"
    write_text(path, frame.to_csv(index=False, float_format="%.9g", lineterminator="\n"))
    return path


def _folder(job: Job, fold: int) -> Path:
    return job.folder / f"fold{fold}"


def run_fold(job: Job, fold: int) -> None:
    """Train the model of one fold and write its weights, history and predictions."""
    folder = _folder(job, fold)
    if job.accelerator.is_main_process:
        folder.mkdir(exist_ok=True)
    job.accelerator.wait_for_everyone()
    trained_on = job.folds.fold != fold
    if job.excluded is not None:
        trained_on &= ~job.excluded
    train_rows = np.flatnonzero(trained_on)
    held_rows = np.flatnonzero(job.folds.fold == fold)
    fit_and_predict = _model_fold if job.solution.Model is not None else _estimator_fold
    oof, test, record = fit_and_predict(job, fold, train_rows, held_rows)
    if not job.accelerator.is_main_process:
        return
    np.save(folder / "oof.npy", oof)
    if test is not None:
        np.save(folder / "test.npy", test)
    record |= {"fold": fold, "train_rows": len(train_rows), "held_rows": len(held_rows)}
    record["collapsed"] = collapsed(oof, np.asarray(job.opened.train.target))
    write_text(folder / "fold.json", json.dumps(record, indent=1) + "\n")


def collapsed(predictions: np.ndarray, target: np.ndarray) -> bool:
    """Tell whether predictions (N, T) are all but one constant for some target."""
    return bool((predictions.std(axis=0) < COLLAPSED * target.std(axis=0)).any())


def _model_fold(
    job: Job, fold: int, train_rows: np.ndarray, held_rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    folder, accelerator, opened = _folder(job, fold), job.accelerator, job.opened
    train = _batches(job, opened.train)
    inner = _inner(job, fold, train_rows)
    if inner is not None:
        train_rows = np.setdiff1d(train_rows, inner.rows)
    restarts = _restarts(job, inner)
    trained = [_train(job, fold, restart, train, train_rows, inner) for restart in range(restarts)]
    best = trained[0] if inner is None else max(trained, key=lambda each: inner.rank(each.counter.best_score))
    core = best.core
    checkpoint.load_weights(core, checkpoint.load(best.folder / WEIGHTS), str(best.folder / WEIGHTS))
    core.to(accelerator.device)
    oof = predict(core, train, held_rows, accelerator)
    test = None
    if opened.test is not None:
        test = predict(core, _batches(job, opened.test), np.arange(len(opened.test)), accelerator)
    if accelerator.is_main_process:
        _write_history(folder / "history.csv", best.counter.history)
        if best.folder != folder:
            checkpoint.save(folder / WEIGHTS, core.state_dict())
    history = best.counter.history
    record = {
        "num_parameters": sum(p.numel() for p in core.parameters()),
        "train_seconds": sum(each.counter.seconds for each in trained),
        "rows_trained": sum(each.rows_done for each in trained),
        "epochs": len(history),
        "best_epoch": best.counter.best_epoch + 1 if inner is not None else len(history),
    }
    if restarts > 1:
        record["restart_scores"] = [each.counter.best_score for each in trained]
    return oof, test, record


class Trained(NamedTuple):
    """One finished training."""

    folder: Path
    core: Any
    counter: Counter
    rows_done: int


def _restarts(job: Job, inner: Inner | None) -> int:
    restarts: int = setting(job.config, "restarts")
    if restarts > 1 and inner is None:
        raise InputError(f"restarts={restarts} needs an inner split to choose by; set patience to a number")
    return restarts


def _train(
    job: Job, fold: int, restart: int, batches: Batches, train_rows: np.ndarray, inner: Inner | None
) -> Trained:
    """Train one model of a fold to its end, or read how it ended; each of several restarts has a folder."""
    folder, title = _folder(job, fold), f"fold {fold + 1}/{job.folds.num_folds}"
    if (restarts := _restarts(job, inner)) > 1:
        folder, title = folder / f"restart{restart}", f"{title} start {restart + 1}/{restarts}"
    finished, accelerator = folder / "trained.json", job.accelerator
    if accelerator.is_main_process:
        folder.mkdir(exist_ok=True)
    accelerator.wait_for_everyone()
    seed = randomness.derive("restart", job.seed, restart) if restart else job.seed
    core = build_model(job, fold, train_rows, seed=seed)
    fit = Fit(
        core, batches, train_rows, config=job.config, folder=folder, seed=seed, fold=fold,
        accelerator=accelerator, inner=inner, save_seconds=job.save_seconds,
    )  # fmt: skip
    if finished.exists():
        fit.counter = Counter(**json.loads(finished.read_text()))
    else:
        shown = accelerator.is_main_process and not job.quiet
        total = setting(job.config, "epochs") * len(train_rows)
        with Tracker(title, total, shown=shown) as tracker:
            fit.run(tracker)
        if accelerator.is_main_process and restarts > 1:
            write_text(finished, json.dumps(asdict(fit.counter)))
    accelerator.wait_for_everyone()
    accelerator.free_memory()
    return Trained(folder, core, fit.counter, fit.rows_done())


def build_model(job: Job, fold: int, train_rows: np.ndarray, *, seed: int | None = None) -> Any:
    """Return a model as training starts with it: the same for the same seed and fold."""
    assert job.solution.Model is not None and job.opened.train.target is not None
    torch.manual_seed(randomness.derive("model", job.seed if seed is None else seed, fold))
    try:
        model = job.solution.Model(job.config, shapes(job.config, job.opened.declaration))
        if hasattr(model, "initialize"):
            with torch.no_grad():
                model.initialize(torch.from_numpy(np.asarray(job.opened.train.target[train_rows])))
    except ValueError as error:  # how a solution says that a challenge or a setting is not for it
        raise InputError(f"{job.solution.name}: {error}") from error
    if job.init is not None:
        path = weights_of(job.init, fold)
        load_matching(model, checkpoint.load(path), str(path))
    return model


def _batches(job: Job, store: Any) -> Batches:
    names = job.solution.input_names(job.opened.declaration)
    return Batches(store, job.opened.declaration, job.config, names, job.accelerator.device)


def _inner(job: Job, fold: int, train_rows: np.ndarray) -> Inner | None:
    """Hold out some groups of the training rows for early stopping, where the solution wants it."""
    if setting(job.config, "patience") is None:
        return None
    mask = inner_split(job.folds.key[train_rows], fold=fold, fraction=INNER_FRACTION, seed=job.seed)
    metric = METRICS[setting(job.config, "stop_metric") or job.opened.declaration.primary.metric]
    higher = metric.direction == "maximize"

    def score(target: np.ndarray, predictions: np.ndarray) -> float:
        try:
            return metric.function(target, predictions)
        except UndefinedMetric:  # one constant for every row: worse than anything
            return -np.inf if higher else np.inf

    return Inner(train_rows[mask], score, higher)


def _estimator_fold(
    job: Job, fold: int, train_rows: np.ndarray, held_rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    assert job.solution.Estimator is not None and job.opened.train.target is not None
    opened, started = job.opened, time.monotonic()
    target = np.asarray(opened.train.target)
    set_seed(randomness.derive("model", job.seed, fold) % 2**32)
    estimator = job.solution.Estimator(job.config, shapes(job.config, opened.declaration))
    estimator.fit(_arrays(job, opened.train, train_rows), target[train_rows])
    seconds = time.monotonic() - started
    oof = estimator.predict(_arrays(job, opened.train, held_rows))
    test = None
    if opened.test is not None:
        test = estimator.predict(_arrays(job, opened.test, np.arange(len(opened.test))))
    state = {name: torch.from_numpy(np.asarray(value)) for name, value in estimator.state_dict().items()}
    if job.accelerator.is_main_process:
        checkpoint.save(_folder(job, fold) / WEIGHTS, state)
    num_parameters = sum(value.numel() for value in state.values())
    record = {"num_parameters": num_parameters, "train_seconds": seconds, "rows_trained": len(train_rows)}
    return np.asarray(oof, np.float32), test, record


def predict_test(job: Job, fold: int) -> np.ndarray:
    """Return what the finished model of a fold predicts for the test rows (N, T), from its saved weights."""
    assert job.opened.test is not None
    path, rows = _folder(job, fold) / WEIGHTS, np.arange(len(job.opened.test))
    weights, wanted = checkpoint.load(path), shapes(job.config, job.opened.declaration)
    if job.solution.Model is not None:
        core = job.solution.Model(job.config, wanted)
        checkpoint.load_weights(core, weights, str(path))
        return predict(core.to(job.accelerator.device), _batches(job, job.opened.test), rows, job.accelerator)
    assert job.solution.Estimator is not None
    estimator = job.solution.Estimator(job.config, wanted)
    estimator.load_state_dict({name: value.numpy() for name, value in weights.items()})
    return np.asarray(estimator.predict(_arrays(job, job.opened.test, rows)), np.float32)


def _arrays(job: Job, store: Any, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return an Estimator's inputs: windowed tokens (N, W) uint8 and the other arrays."""
    names = job.solution.input_names(job.opened.declaration)
    batches = Batches(store, job.opened.declaration, job.config, names, torch.device("cpu"))
    parts = np.array_split(rows, max(1, len(rows) // 65_536))
    tokens = np.concatenate([batches.window(part).numpy() for part in parts])
    return {"sequence": tokens, **{name: np.asarray(store.inputs[name][rows]) for name in names[1:]}}


def _write_history(path: Path, history: Sequence[dict[str, float]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
