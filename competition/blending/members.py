"""The members of an ensemble: submissions and what their runs predicted out of fold."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from competition.board.board import oof_score, read_board
from competition.data.challenge import Challenge, target_names
from competition.judging.formats import read_table
from competition.judging.manifest import Manifest, read_manifest
from competition.judging.submission import read_submission


class Members(NamedTuple):
    """Submissions to one challenge with what their runs predicted out of fold, in the same order of rows."""

    manifests: tuple[Manifest, ...]
    oof: np.ndarray  # (M, N, T)
    test: np.ndarray  # (M, K, T)
    truth: np.ndarray  # (N, T)
    fold: np.ndarray  # (N,) from 0
    group: np.ndarray | None = None  # (N,) dependent rows, drawn whole

    @property
    def names(self) -> list[str]:
        return [f"{each.solution}-{each.run}" for each in self.manifests]


def choose_files(challenge: Challenge, submissions: Path, members: Sequence[Path], top: int) -> list[Path]:
    """Return the submissions that are asked for: those named, or the best out of fold by the first score.

    Test scores take no part, not even where out-of-fold scores are equal.
    """
    if members:
        return list(members)
    folder, primary = submissions / challenge.declaration.name, challenge.declaration.primary
    board = read_board(folder) if folder.is_dir() else None
    sign = -1 if primary.direction == "maximize" else 1
    ranked = []
    for manifest in (row.manifest for row in board.rows) if board else ():
        value = oof_score(manifest, primary.name, primary.metric)
        fits = manifest.kind == "solution" and manifest.train_digest == challenge.declaration.train_digest
        if fits and value is not None and not manifest.collapsed:
            ranked.append((sign * value, f"{manifest.solution}-{manifest.run}.csv"))
    return [folder / name for _, name in sorted(ranked)[:top]]


def read_members(paths: Sequence[Path], challenge: Challenge, runs: Path) -> Members:
    """Read members; InputError where two are not of the same rows and folds, or a run is not here."""
    if len(paths) < 2:
        raise InputError(f"an ensemble of {len(paths)} submissions; wanted two or more")
    manifests = tuple(read_manifest(path.with_suffix(".json")) for path in paths)
    for path, manifest in zip(paths, manifests, strict=True):
        same = {"train_digest": challenge.declaration.train_digest, "fold_digest": manifests[0].fold_digest}
        for name, wanted in same.items():
            if getattr(manifest, name) != wanted:
                raise InputError(f"{path} has another {name} than the others; wanted the same rows and folds")
    targets = target_names(challenge.declaration)
    frames = [_read_oof(runs, manifest, challenge) for manifest in manifests]
    for path, frame in zip(paths, frames, strict=True):
        if (frame[targets].nunique() < 2).any():
            raise InputError(f"{path}: its out-of-fold predictions do not vary; wanted other members")
    tests = [read_submission(path, challenge) for path in paths]
    return Members(
        manifests,
        np.stack([frame[targets].to_numpy(np.float64) for frame in frames]),
        np.stack(tests),
        np.asarray(challenge.train.target, dtype=np.float64),
        frames[0]["fold"].to_numpy(np.int64),
        challenge.train.rows["group"].to_numpy(str) if "group" in challenge.train.rows else None,
    )


def _read_oof(runs: Path, manifest: Manifest, challenge: Challenge) -> pd.DataFrame:
    path = runs / manifest.challenge / manifest.solution / manifest.run / "oof.csv"
    if not path.exists():
        raise InputError(f"{path} is not here; an ensemble needs the out-of-fold predictions of every member")
    table = read_table(path)
    targets = target_names(challenge.declaration)
    if missing := [name for name in ("id", "fold", *targets) if name not in table]:
        raise InputError(f"{path} has no column {missing[0]!r}; wanted what the run wrote")
    if table["id"].tolist() != challenge.train.rows["id"].tolist():
        raise InputError(f"{path} is not of the training rows of {manifest.challenge!r}")
    values = {name: pd.to_numeric(table[name], errors="coerce") for name in ("fold", *targets)}
    if not all(np.isfinite(column).all() for column in values.values()):
        raise InputError(f"{path} is damaged: there is a fold or a prediction that is no number")
    return pd.DataFrame({"id": table["id"], **values})
