"""What a run says at its start and at its end."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from competition.base.files import file_digest
from competition.base.terminal import duration
from competition.judging.manifest import Manifest, new_manifest
from competition.metrics.registry import score_all, score_folds
from competition.training.cross_validation import Predictions
from competition.training.job import Job
from competition.training.record import RunRecord
from competition.training.solution import describe

SHOWN = ("pearson", "spearman", "mse", "r2")


def announce(job: Job, record: RunRecord, changes: Mapping[str, object]) -> None:
    """Print what is about to run: data, recipe, machine and where the files go."""
    opened = job.opened
    rows = f"{len(opened.train):,} training rows in {record.num_folds} folds"
    test = f", {len(opened.test):,} test rows" if opened.test is not None else ""
    print(f"challenge  {record.challenge}: {rows}{test}")
    print(f"solution   {record.solution}: {describe(changes)}")
    print(f"machine    {record.device}, precision {record.precision}")
    for warning in record.warnings:
        print(f"warning    {warning}")
    print(f"run        {job.folder}", flush=True)


def make_manifest(job: Job, record: RunRecord, predictions: Predictions) -> Manifest:
    """Return the manifest of a finished run, complete but for what its test predictions are and score."""
    reason = fault(predictions)
    seconds = sum(fold["train_seconds"] for fold in predictions.folds)
    names = {field.name for field in dataclasses.fields(Manifest)}
    return new_manifest(
        job.opened,
        **{name: value for name, value in vars(record).items() if name in names},
        oof={} if reason else score_all(job.target, predictions.oof),
        fold_scores={} if reason else score_folds(job.target, predictions.oof, job.folds.fold),
        run=job.folder.name,
        train_digest=job.opened.declaration.train_digest,
        collapsed=reason,
        num_parameters=predictions.folds[0]["num_parameters"],
        train_seconds=seconds,
        rows_per_second=sum(fold["rows_trained"] for fold in predictions.folds) / max(seconds, 1e-9),
        weights={
            path.relative_to(job.folder).as_posix(): file_digest(path)
            for path in sorted(job.folder.glob("fold*/weights.safetensors"))
        },
    )


def fault(predictions: Predictions) -> str | None:
    """Say which folds predict one constant for every row, or None."""
    folds = [str(record["fold"]) for record in predictions.folds if record["collapsed"]]
    return f"one constant prediction for every row of fold {', '.join(folds)}" if folds else None


def show(manifest: Manifest, predictions: Predictions, files: Mapping[str, Path]) -> None:
    """Print the scores by fold, their mean and spread, the test scores, the cost and the files."""
    console = Console()
    if manifest.collapsed:
        console.print(f"[bold red]no score: {manifest.collapsed}[/]")
    else:
        console.print(_fold_table(manifest, predictions))
        if manifest.scores:
            console.print(_test_table(manifest.scores))
    time = f"{duration(manifest.train_seconds or 0)} of training at {manifest.rows_per_second:,.0f} rows/s"
    console.print(f"{manifest.num_parameters:,} parameters a model, {time} on {manifest.device}")
    for name, path in files.items():
        console.print(f"{name:<12} {path}", soft_wrap=True, highlight=False)


def _fold_table(manifest: Manifest, predictions: Predictions) -> Table:
    table = Table("", "rows", *SHOWN, "time", box=box.SIMPLE_HEAD)
    scores = manifest.fold_scores
    for fold, record in enumerate(predictions.folds):
        values = [f"{scores[name][fold]:.4f}" for name in SHOWN]
        table.add_row(
            f"fold {fold}", f"{record['held_out_rows']:,}", *values, duration(record["train_seconds"])
        )
    table.add_section()
    spread = [f"{np.mean(scores[name]):.4f} ± {np.std(scores[name], ddof=1):.4f}" for name in SHOWN]
    table.add_row("mean ± sd", "", *spread, "")
    total = sum(record["held_out_rows"] for record in predictions.folds)
    table.add_row("all rows", f"{total:,}", *(f"{manifest.oof[name]:.4f}" for name in SHOWN), "")
    return table


def _test_table(scores: Mapping[str, Mapping[str, float]]) -> Table:
    usages = [usage for usage in ("public", "private", "all") if scores.get(usage)]
    table = Table("test", *usages, box=box.SIMPLE_HEAD)
    names = dict.fromkeys(name for usage in usages for name in scores[usage])
    for name in names:
        values = [scores[usage].get(name) for usage in usages]
        table.add_row(name, *("-" if value is None else f"{value:.4f}" for value in values))
    return table
