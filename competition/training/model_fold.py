"""Train the Model of one fold, as often as the recipe says, and predict with the best."""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from competition.base.errors import InputError
from competition.base.files import write_text
from competition.base.terminal import Tracker
from competition.base.typed import read_json
from competition.training import checkpoint, randomness
from competition.training.batches import Batches
from competition.training.checkpoint import WEIGHTS
from competition.training.fit import Counter, Fit
from competition.training.job import Cost, FoldResult, Job
from competition.training.network import Network
from competition.training.predict import predict
from competition.training.transfer import start_from
from competition.training.validation import Validation, validation_split


class Trained(NamedTuple):
    """One finished training."""

    folder: Path
    network: Network
    counter: Counter
    rows_done: int


def run_model_fold(job: Job, fold: int, train_rows: np.ndarray, held_out: np.ndarray) -> FoldResult:
    """Train, predict the held-out and the test rows, and write weights and history."""
    folder, batches = job.fold_folder(fold), job.batches(job.opened.train)
    validation = validation_split(job, fold, train_rows)
    if validation is not None:
        train_rows = np.setdiff1d(train_rows, validation.rows)
    starts = range(job.recipe.restarts)
    trained = [_train(job, fold, start, batches, train_rows, validation) for start in starts]
    best = trained[0]
    if validation is not None:
        best = max(trained, key=lambda each: validation.rank(each.counter.best_score))
    _load(best.network, best.folder / WEIGHTS, job)
    oof = predict(best.network, batches, held_out, job.accelerator)
    test = model_test(job, best.network) if job.opened.test is not None else None
    if job.accelerator.is_main_process:
        _write_history(folder / "history.csv", best.counter.history)
        if best.folder != folder:
            checkpoint.save(folder / WEIGHTS, best.network.core.state_dict())
    return FoldResult(oof, test, _cost(best, trained, stopped_early=validation is not None))


def _cost(best: Trained, trained: Sequence[Trained], *, stopped_early: bool) -> Cost:
    history, counter = best.counter.history, best.counter
    cost: Cost = {
        "num_parameters": sum(value.numel() for value in best.network.core.parameters()),
        "train_seconds": sum(each.counter.seconds for each in trained),
        "rows_trained": sum(each.rows_done for each in trained),
        "epochs": len(history),
        "best_epoch": counter.best_epoch + 1 if stopped_early else len(history),
    }
    if len(trained) > 1:
        cost["restart_scores"] = [each.counter.best_score for each in trained]
    return cost


def _train(
    job: Job, fold: int, start: int, batches: Batches, train_rows: np.ndarray, validation: Validation | None
) -> Trained:
    """Train one model of a fold to its end, or read how it ended; each of several starts has a folder."""
    folder, title = job.fold_folder(fold), f"fold {fold + 1}/{job.folds.num_folds}"
    if (restarts := job.recipe.restarts) > 1:
        folder, title = folder / f"restart{start}", f"{title} start {start + 1}/{restarts}"
    finished, accelerator = folder / "trained.json", job.accelerator
    if accelerator.is_main_process:
        folder.mkdir(exist_ok=True)
    accelerator.wait_for_everyone()
    seed = randomness.derive("restart", job.seed, start) if start else job.seed
    network = build_network(job, fold, batches, train_rows, seed=seed)
    fit = Fit(
        network, batches, train_rows, recipe=job.recipe, folder=folder, seed=seed, fold=fold,
        accelerator=accelerator, validation=validation, save_seconds=job.save_seconds,
    )  # fmt: skip
    if finished.exists():
        fit.counter = Counter(**read_json(finished, dict[str, Any]))
    else:
        shown = accelerator.is_main_process and not job.quiet
        with Tracker(title, job.recipe.epochs * len(train_rows), shown=shown) as tracker:
            fit.run(tracker)
        if accelerator.is_main_process and restarts > 1:
            write_text(finished, json.dumps(asdict(fit.counter)))
    accelerator.wait_for_everyone()
    accelerator.free_memory()
    return Trained(folder, network, fit.counter, fit.rows_done())


def build_network(job: Job, fold: int, batches: Batches, train_rows: np.ndarray, *, seed: int) -> Network:
    """Return a network as training starts with it: the same for the same seed and fold."""
    assert job.solution.Model is not None
    torch.manual_seed(randomness.derive("model", seed, fold))
    try:
        network = Network(job.solution.Model(job.config, job.shapes))
        if job.transfer is None:
            network.initialize(batches, train_rows)
        else:
            start = start_from(job.transfer, network, batches, train_rows, fold)
            if start and job.accelerator.is_main_process and not job.quiet:
                print(f"fold {fold + 1}/{job.folds.num_folds}   {start}", flush=True)
    except ValueError as error:  # how a solution says that a challenge or a setting is not for it
        raise InputError(f"{job.solution.name}: {error}") from error
    return network


def load_network(job: Job, fold: int) -> Network:
    """Return the network of a finished fold, on the device."""
    assert job.solution.Model is not None
    network = Network(job.solution.Model(job.config, job.shapes))
    _load(network, job.fold_folder(fold) / WEIGHTS, job)
    return network


def _load(network: Network, path: Path, job: Job) -> None:
    checkpoint.load_weights(network.core, checkpoint.load(path), str(path))
    network.core.to(job.accelerator.device)


def model_test(job: Job, network: Network) -> np.ndarray:
    """Return what a network predicts for the test rows (M, T)."""
    assert job.opened.test is not None
    rows = np.arange(len(job.opened.test))
    return predict(network, job.batches(job.opened.test), rows, job.accelerator)


def _write_history(path: Path, history: Sequence[dict[str, float]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
