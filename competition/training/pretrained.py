"""The run whose weights another one starts from, fold by fold; it has not seen what they will predict."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from competition.base.errors import InputError
from competition.base.files import file_digest
from competition.data.challenge import Challenge, open_challenge
from competition.data.folds import FoldTable, fold_table
from competition.data.homology import cluster_together
from competition.training.record import RunRecord


class Pretrained(NamedTuple):
    """A finished run and the challenge that it was trained on."""

    run: Path
    record: RunRecord
    challenge: Challenge


def require_unseen(run: Path, target: Challenge, folds: FoldTable, data: Path) -> Pretrained:
    """Return a run whose models may start those of these folds.

    The model of a fold must not have been trained on a row that it will predict, one of that fold or of the
    test set, nor on a homolog of one. Raises InputError with an example where it has.
    """
    record = _read_record(run, folds)
    source = _open_source(record, target, data)
    source_folds = fold_table(
        source.train, source.declaration, folds.num_folds,
        ignore_declared=record.ignore_folds, cache=source.folder / "cache",
    )  # fmt: skip
    if source_folds.digest != record.fold_digest:
        raise InputError(f"{run} was trained on other folds than its challenge has now; train it again")
    # The same challenge has the same rows in the same folds.
    if target.digest not in (source.digest, record.excluded_digest):
        _compare(run, source, source_folds, target, folds)
    return Pretrained(run, record, source)


def _read_record(run: Path, folds: FoldTable) -> RunRecord:
    record = RunRecord.read(run)
    if record.num_folds != folds.num_folds:
        raise InputError(
            f"--init {run} has {record.num_folds} folds; wanted {folds.num_folds}, a model for each fold"
        )
    for fold in range(folds.num_folds):
        if not (run / f"fold{fold}" / "fold.json").exists():
            raise InputError(f"--init {run}: fold {fold} is not finished; continue it with --resume first")
    return record


def _open_source(record: RunRecord, target: Challenge, data: Path) -> Challenge:
    if record.challenge_digest == target.digest:
        return target
    for path in sorted(data.glob("*/public/challenge.toml")):
        if file_digest(path) == record.challenge_digest:
            return open_challenge(path.parents[1])
    raise InputError(
        f"{data} has no {record.challenge!r} of sha256 {record.challenge_digest[:12]}..., on which the "
        "run was trained; wanted that challenge there, to compare its rows"
    )


def _compare(
    run: Path, source: Challenge, source_folds: FoldTable, target: Challenge, folds: FoldTable
) -> None:
    """Raise InputError where a fold's model was trained on a homolog of a row that it will predict."""
    clusters = cluster_together(source, target)
    for fold in range(folds.num_folds):
        trained = clusters.source[source_folds.fold != fold]
        for part, own in (("training", clusters.train[folds.fold == fold]), ("test", clusters.test)):
            seen = np.isin(own, trained).any(axis=1)
            if seen.any():
                rows = np.flatnonzero(folds.fold == fold) if part == "training" else np.arange(len(own))
                store = target.train if part == "training" else target.test
                assert store is not None
                alike = np.isin(clusters.source, own[seen][0]).any(axis=1)
                other = np.flatnonzero(alike & (source_folds.fold != fold))[0]
                raise InputError(
                    f"--init {run}: the model of fold {fold} was trained on homologs of {int(seen.sum()):,} "
                    f"{part} rows that it is to predict, such as row {source.train.rows['id'][other]!r} of "
                    f"{source.declaration.name!r} for {store.rows['id'][rows[seen][0]]!r}; "
                    f"train it with --exclude-homologs-of {target.declaration.name}"
                )
