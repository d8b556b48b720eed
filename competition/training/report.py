"""What a run says at its start and at its end."""

import dataclasses
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Column, Table

from competition.base.files import file_digest
from competition.base.terminal import duration
from competition.board.score_table import format_ends, format_score, shown_usage
from competition.data.challenge import target_names
from competition.judging.manifest import Manifest, new_manifest
from competition.judging.record import score_out_of_fold
from competition.training.cross_validation import Predictions
from competition.training.cuts import cuts
from competition.training.job import Job
from competition.training.recipe import Recipe
from competition.training.record import RunRecord
from competition.training.solution import describe

SHOWN = ("pearson", "spearman", "mse", "r2")
SHOWN_OF_LABELS = ("auroc", "auprc", "pearson", "mse")


def announce(job: Job, record: RunRecord, changes: Mapping[str, object]) -> None:
    """Print what is about to run: data, recipe, machine and where the files go."""
    opened = job.opened
    rows = f"{len(opened.train):,} training rows in {job.folds.text}"
    test = f", {len(opened.test):,} test rows" if opened.test is not None else ""
    print(f"challenge  {record.challenge}: {rows}{test}")
    print(f"solution   {record.solution}: {describe(changes)}")
    print(f"machine    {record.device}, precision {record.precision}")
    if job.transfer is not None:
        print(f"init       {job.transfer.text}")
    for warning in (*_unread(job, changes), *record.warnings, *cuts(job.opened, job.config, job.input_names)):
        print(f"warning    {warning}")
    print(f"run        {job.folder}", flush=True)


def _unread(job: Job, changes: Mapping[str, Any]) -> list[str]:
    """Say which changed settings of training a solution that is fitted at once does not read."""
    names = [each.name for each in dataclasses.fields(Recipe) if each.name in changes]
    unread = [name for name in names if name not in ("challenge", "window")]
    if job.solution.Estimator is None or not unread:
        return []
    return [f"{', '.join(unread)}: not read by {job.solution.name}, an Estimator"]


def make_manifest(job: Job, record: RunRecord, predictions: Predictions) -> Manifest:
    """Return the manifest of a finished run, complete but for what its test predictions are and score."""
    reason = fault(predictions)
    seconds = sum(fold["train_seconds"] for fold in predictions.folds)
    names = {field.name for field in dataclasses.fields(Manifest)}
    return new_manifest(
        job.opened,
        **{name: value for name, value in vars(record).items() if name in names},
        **({} if reason else _out_of_fold(job, predictions)),
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


def _out_of_fold(job: Job, predictions: Predictions) -> dict[str, Any]:
    names = target_names(job.opened.declaration)
    return {**score_out_of_fold(names, job.target, predictions.oof, job.folds.fold)}


def fault(predictions: Predictions) -> str | None:
    """Say which folds predict one constant for every row, or None."""
    folds = [str(record["fold"]) for record in predictions.folds if record["collapsed"]]
    return f"one constant prediction for every row of fold {', '.join(folds)}" if folds else None


def show(manifest: Manifest, predictions: Predictions, files: Mapping[str, Path]) -> None:
    """Print the scores by fold, their mean and spread, the test scores, the cost and the files."""
    console = Console(markup=False)  # a target may be called log2 [RNA/DNA]
    if manifest.collapsed:
        console.print(f"no score: {manifest.collapsed}", style="bold red")
    else:
        console.print(_fold_table(manifest, predictions))
        if manifest.scores:
            console.print(_test_table(manifest.scores))
        if manifest.targets:
            console.print(_target_table(manifest))
    time = f"{duration(manifest.train_seconds or 0)} of training at {manifest.rows_per_second:,.0f} rows/s"
    console.print(f"{manifest.num_parameters:,} parameters a model, {time} on {manifest.device}")
    for name, path in files.items():
        console.print(f"{name:<12} {path}", soft_wrap=True, highlight=False)


def _fold_table(manifest: Manifest, predictions: Predictions) -> Table:
    scores = manifest.fold_scores
    names = _shown(scores)
    table = Table("", "rows", *names, "time", box=box.SIMPLE_HEAD)
    for fold, record in enumerate(predictions.folds):
        values = [f"{scores[name][fold]:.4f}" for name in names]
        table.add_row(
            f"fold {fold}", f"{record['held_out_rows']:,}", *values, duration(record["train_seconds"])
        )
    table.add_section()
    spread = [f"{np.mean(scores[name]):.4f} ± {np.std(scores[name], ddof=1):.4f}" for name in names]
    table.add_row("mean ± sd", "", *spread, "")
    total = sum(record["held_out_rows"] for record in predictions.folds)
    table.add_row("all rows", f"{total:,}", *(f"{manifest.oof[name]:.4f}" for name in names), "")
    return table


def _shown(scores: Container[str]) -> list[str]:
    """Return the metrics to show of those that have a value."""
    return [name for name in (SHOWN_OF_LABELS if "auroc" in scores else SHOWN) if name in scores]


def _target_table(manifest: Manifest) -> Table:
    """Lay out each target: its out-of-fold scores and, by the score that ranks, that of the test rows."""
    score, usage = manifest.declared["scores"][0]["name"], shown_usage(manifest.draws)
    names = _shown({name for each in manifest.targets.values() for name in each["oof"]})
    title = f"each target, out of fold{f' and, on {usage} test rows, {score}' if usage else ''}"
    tested = ("test", Column("95 %", no_wrap=True)) if usage else ()
    headings = (Column("target", overflow="fold"), *names, *tested)
    table = Table(*headings, title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.collapse_padding = True  # a name of 16 letters and all of this stand in 80 columns
    for target, each in manifest.targets.items():
        values = [format_score(each["oof"].get(name)) for name in names]
        if usage:
            low_high = each["intervals"][usage].get(score)
            values += [format_score(each["scores"][usage].get(score)), format_ends(low_high)]
        table.add_row(target, *values)
    return table


def _test_table(scores: Mapping[str, Mapping[str, float]]) -> Table:
    usages = [usage for usage in ("public", "private", "all") if scores.get(usage)]
    table = Table("test", *usages, box=box.SIMPLE_HEAD)
    names = dict.fromkeys(name for usage in usages for name in scores[usage])
    for name in names:
        values = [scores[usage].get(name) for usage in usages]
        table.add_row(name, *("-" if value is None else f"{value:.4f}" for value in values))
    return table
