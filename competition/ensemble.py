"""Blend submissions into a better one, honestly: weights from out-of-fold predictions alone.

    python -m competition.ensemble promoters --top 5
    python -m competition.ensemble promoters --members submissions/promoters/a.csv submissions/promoters/b.csv

Every way of weighting is judged by nested folds: the rows of a fold are blended by the weights that the other
folds choose. What it gains over the best member and over the plain mean is shown with the interval of 1,000
resamples. Where nothing is surely better than the plain mean, the plain mean is taken. The result is a
submission like any other.
"""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from competition.data.built_in import find_challenge
from competition.data.challenge import OpenChallenge
from competition.errors import InputError, exit_status
from competition.judging.answers import has_answers
from competition.judging.blend import METHODS, all_weights, error_correlation, gather, nested_weights
from competition.judging.bootstrap import Gain, paired_gain
from competition.judging.manifest import Manifest, declare, read_manifest
from competition.judging.metrics import METRICS, fitting
from competition.judging.scoring import score_submission
from competition.leaderboard import read_board, write_leaderboard
from competition.submission import read_submission, target_names, test_ids, write_submission

PIPED_WIDTH = 160  # where there is no terminal


class Members(NamedTuple):
    """Submissions to one challenge with what their runs predicted out of fold, in the same order of rows."""

    manifests: tuple[Manifest, ...]
    oof: np.ndarray  # (M, N, T)
    test: np.ndarray  # (M, K, T)
    truth: np.ndarray  # (N, T)
    fold: np.ndarray  # (N,) from 0


class Blend(NamedTuple):
    """One way of weighting and how it does."""

    method: str
    weights: np.ndarray  # (M,)
    in_sample: float
    nested: float
    nested_oof: np.ndarray  # (N, T): every fold by the weights of the others
    over_best: Gain
    over_mean: Gain


def choose_files(challenge: str, submissions: Path, members: Sequence[Path], top: int) -> list[Path]:
    """Return the submissions that are asked for: those named, or the first of the board."""
    if members:
        return list(members)
    board = read_board(submissions / challenge) if (submissions / challenge).is_dir() else None
    ranked = [row.manifest for row in board.rows if row.tier is not None] if board else []
    solutions = [manifest for manifest in ranked if manifest.kind == "solution"][:top]
    return [submissions / challenge / f"{each.solution}-{each.run}.csv" for each in solutions]


def read_members(paths: Sequence[Path], challenge: OpenChallenge, runs: Path) -> Members:
    """Read members; InputError where two are not of the same rows and folds, or a run is not here."""
    if len(paths) < 2:
        raise InputError(f"an ensemble of {len(paths)} submissions; wanted two or more")
    manifests = tuple(read_manifest(path.with_suffix(".json")) for path in paths)
    for path, manifest in zip(paths, manifests, strict=True):
        same = {"challenge_digest": challenge.digest, "fold_digest": manifests[0].fold_digest}
        for name, wanted in same.items():
            if getattr(manifest, name) != wanted:
                raise InputError(f"{path} has another {name} than the others; wanted the same rows and folds")
    targets = target_names(challenge.challenge)
    frames = [_read_oof(runs, manifest, challenge) for manifest in manifests]
    tests = [read_submission(path, challenge) for path in paths]
    return Members(
        manifests,
        np.stack([frame[targets].to_numpy(np.float64) for frame in frames]),
        np.stack(tests),
        np.asarray(challenge.train.target, dtype=np.float64),
        frames[0]["fold"].to_numpy(np.int64),
    )


def _read_oof(runs: Path, manifest: Manifest, challenge: OpenChallenge) -> pd.DataFrame:
    path = runs / manifest.challenge / manifest.solution / manifest.run / "oof.csv"
    if not path.exists():
        raise InputError(f"{path} is not here; an ensemble needs the out-of-fold predictions of every member")
    frame = pd.read_csv(path, dtype={"id": str})
    if frame["id"].tolist() != challenge.train.rows["id"].tolist():
        raise InputError(f"{path} is not of the training rows of {manifest.challenge!r}")
    return frame


def blends(members: Members, metric: str) -> list[Blend]:
    """Judge every way of weighting by nested folds."""
    centred = members.oof - members.oof.mean(1, keepdims=True)
    truth = members.truth - members.truth.mean(0)
    num_targets = truth.shape[1]
    folds = gather(
        centred.reshape(len(centred), -1), truth.ravel(), np.repeat(members.fold, num_targets)
    )  # targets share the weights, and each has its own mean
    score, sign = METRICS[metric].function, 1 if METRICS[metric].direction == "maximize" else -1
    best = max(range(len(centred)), key=lambda number: sign * score(members.truth, members.oof[number]))
    plain = members.oof.mean(0)
    found = []
    for name, method in METHODS.items():
        weights, nested = all_weights(folds, method), np.empty_like(plain)
        for fold, each in enumerate(nested_weights(folds, method)):
            rows = members.fold == fold
            nested[rows] = apply(members, each, members.oof[:, rows], exclude=rows)
        gains = [
            paired_gain(metric, members.truth, other, nested, higher_is_better=sign > 0)
            for other in (members.oof[best], plain)
        ]
        in_sample = score(members.truth, apply(members, weights, members.oof))
        found.append(Blend(name, weights, in_sample, score(members.truth, nested), nested, *gains))
    return found


def apply(
    members: Members, weights: np.ndarray, predictions: np.ndarray, *, exclude: np.ndarray | None = None
) -> np.ndarray:
    """Blend predictions (M, K, T) around the means of the out-of-fold rows, those of exclude (N,) left out.

    Weights that do not sum to one shrink or stretch around the mean of the truth, never around zero.
    """
    kept = slice(None) if exclude is None else ~exclude
    middle = members.oof[:, kept].mean(1)[:, None]  # (M, 1, T)
    target = members.truth[kept].mean(0)
    if np.isclose(weights.sum(), 1):
        target = np.tensordot(weights, middle[:, 0], 1)
    return np.asarray(target + np.tensordot(weights, predictions - middle, 1))


def choose(found: Sequence[Blend]) -> Blend:
    """Return the best by nested folds among those surely better than the plain mean, or the plain mean."""
    sure = [blend for blend in found if blend.over_mean.low > 0]
    return max(sure, key=lambda blend: blend.over_mean.value, default=found[0])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; a user's mistake is one line on standard error and status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m competition.ensemble",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("challenge")
    add("--members", type=Path, nargs="+", default=[], metavar="CSV", help="submissions to blend")
    add("--top", type=int, default=5, help="or the first so many of the board (default: %(default)s)")
    add("--data", type=Path, default=Path("data"), help="folder of challenges (default: %(default)s)")
    add("--runs", type=Path, default=Path("runs"), help="folder of runs (default: %(default)s)")
    add("--submissions", type=Path, default=Path("submissions"), help="(default: %(default)s)")
    return exit_status(_run, parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> None:
    challenge = find_challenge(options.challenge, options.data)
    if not challenge.challenge.ensembles:
        raise InputError(f"{challenge.challenge.name!r} forbids ensembles")
    name = challenge.challenge.name
    paths = choose_files(name, options.submissions, options.members, options.top)
    members = read_members(paths, challenge, options.runs)
    metric = challenge.challenge.primary.metric
    found = blends(members, metric)
    chosen = choose(found)
    wide = None if sys.stdout.isatty() else PIPED_WIDTH
    console = Console(markup=False, highlight=False, width=wide)
    console.print(_methods(found, metric), _weights(members, found), _errors(members))
    console.print(f"taken: {chosen.method}")
    path = submit(options.submissions / name, challenge, members, chosen)
    write_leaderboard(options.submissions)
    console.print(f"submission {path}")


def submit(folder: Path, challenge: OpenChallenge, members: Members, blend: Blend) -> Path:
    """Write the blend as a submission with a manifest, and have it scored where the answers are here."""
    stamp = datetime.now(UTC)
    names = [f"{each.solution}-{each.run}" for each in members.manifests]
    salt = hashlib.sha256("\n".join([blend.method, *names]).encode()).hexdigest()[:6]
    run = f"{stamp:%Y%m%d-%H%M%S}-{salt}"
    folds = [members.fold == fold for fold in range(int(members.fold.max()) + 1)]
    metrics = fitting(members.truth)
    manifest = Manifest(
        challenge=challenge.challenge.name,
        challenge_digest=challenge.digest,
        solution="ensemble",
        run=run,
        created=stamp.isoformat(timespec="seconds"),
        kind="ensemble",
        declared=declare(challenge.challenge),
        config={"method": blend.method, "members": dict(zip(names, blend.weights.tolist(), strict=True))},
        oof={name: metric.function(members.truth, blend.nested_oof) for name, metric in metrics.items()},
        fold_scores={
            name: [metric.function(members.truth[rows], blend.nested_oof[rows]) for rows in folds]
            for name, metric in metrics.items()
        },
        num_parameters=sum(each.num_parameters or 0 for each in members.manifests),
        train_seconds=sum(each.train_seconds or 0 for each in members.manifests),
        fold_digest=members.manifests[0].fold_digest,
        notes="out-of-fold scores are nested: each fold by the weights that the others choose",
    )
    path = folder / f"ensemble-{run}.csv"
    predictions = apply(members, blend.weights, members.test)
    write_submission(path, test_ids(challenge), predictions, target_names(challenge.challenge), manifest)
    if has_answers(challenge):
        score_submission(path, challenge)
    return path


def _methods(found: Sequence[Blend], metric: str) -> Table:
    names = ("way", f"{metric}, in sample", "nested folds", "over the best member", "over the plain mean")
    table = Table(*names, box=box.SIMPLE_HEAD)
    for blend in found:
        both = (blend.over_best, blend.over_mean)
        gains = [f"{gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})" for gain in both]
        table.add_row(blend.method, f"{blend.in_sample:.4f}", f"{blend.nested:.4f}", *gains)
    return table


def _weights(members: Members, found: Sequence[Blend]) -> Table:
    table = Table("member", *(blend.method for blend in found), title="weights", box=box.SIMPLE_HEAD)
    for number, manifest in enumerate(members.manifests):
        table.add_row(f"{manifest.solution}-{manifest.run}", *(f"{b.weights[number]:.3f}" for b in found))
    return table


def _errors(members: Members) -> Any:
    num_targets = members.truth.shape[1]
    flat = members.oof.reshape(len(members.oof), -1)
    matrix = error_correlation(gather(flat, members.truth.ravel(), np.repeat(members.fold, num_targets)))
    names = [manifest.solution for manifest in members.manifests]
    table = Table("", *names, title="correlation of errors", box=box.SIMPLE_HEAD)
    for manifest, row in zip(members.manifests, matrix, strict=True):
        table.add_row(manifest.solution, *(f"{value:.2f}" for value in row))
    return table


if __name__ == "__main__":
    sys.exit(main())
