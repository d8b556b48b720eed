"""Blend submissions into a better one, honestly: weights from out-of-fold predictions alone.

    python -m competition.ensemble promoters --top 5
    python -m competition.ensemble promoters --members submissions/promoters/a.csv submissions/promoters/b.csv

Every way of weighting is judged by nested folds: the rows of a fold are blended by the weights that the other
folds choose. What it gains over the best member and over the plain mean is shown with the interval of 1,000
resamples, and so is how few members do as well as the best blend. Of all ways and numbers of members the best
one that is surely better than the plain mean is taken, else the plain mean (--take chooses otherwise). The
result is a submission like any other; `python -m competition.submission verify` makes it again.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from competition.data.built_in import find_challenge
from competition.data.challenge import OpenChallenge
from competition.errors import InputError, exit_status
from competition.judging.answers import has_answers
from competition.judging.blend import METHODS
from competition.judging.board import read_board
from competition.judging.bootstrap import Gain
from competition.judging.manifest import Manifest, declare, read_manifest
from competition.judging.metrics import fitting
from competition.judging.moments import with_rank_mean
from competition.judging.nested import Blend, Verdict, judge
from competition.judging.recipe import Member, Recipe, make_recipe
from competition.judging.scoring import score_submission
from competition.judging.views import write_leaderboard
from competition.score import score_table
from competition.submission import read_submission, target_names, test_ids, write_submission

PIPED_WIDTH = 160  # where there is no terminal
SHOWN_SIZES = 12
DIGITS = 1e-8  # relative: a submission holds nine digits


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


def choose_files(
    challenge: OpenChallenge, submissions: Path, members: Sequence[Path], top: int
) -> list[Path]:
    """Return the submissions that are asked for: those named, or the best out of fold by the first score.

    Test scores take no part, not even where out-of-fold scores are equal. A composite score is stood in for
    by its metric on all rows.
    """
    if members:
        return list(members)
    folder, primary = submissions / challenge.challenge.name, challenge.challenge.primary
    board = read_board(folder) if folder.is_dir() else None
    sign = -1 if primary.direction == "maximize" else 1
    ranked = []
    for manifest in (row.manifest for row in board.rows) if board else ():
        value = manifest.oof.get(primary.name, manifest.oof.get(primary.metric))
        fits = manifest.kind == "solution" and manifest.train_digest == challenge.challenge.train_digest
        if fits and value is not None and not manifest.collapsed:
            ranked.append((sign * value, f"{manifest.solution}-{manifest.run}.csv"))
    return [folder / name for _, name in sorted(ranked)[:top]]


def read_members(paths: Sequence[Path], challenge: OpenChallenge, runs: Path) -> Members:
    """Read members; InputError where two are not of the same rows and folds, or a run is not here."""
    if len(paths) < 2:
        raise InputError(f"an ensemble of {len(paths)} submissions; wanted two or more")
    manifests = tuple(read_manifest(path.with_suffix(".json")) for path in paths)
    for path, manifest in zip(paths, manifests, strict=True):
        same = {"train_digest": challenge.challenge.train_digest, "fold_digest": manifests[0].fold_digest}
        for name, wanted in same.items():
            if getattr(manifest, name) != wanted:
                raise InputError(f"{path} has another {name} than the others; wanted the same rows and folds")
    targets = target_names(challenge.challenge)
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


def _read_oof(runs: Path, manifest: Manifest, challenge: OpenChallenge) -> pd.DataFrame:
    path = runs / manifest.challenge / manifest.solution / manifest.run / "oof.csv"
    if not path.exists():
        raise InputError(f"{path} is not here; an ensemble needs the out-of-fold predictions of every member")
    frame = pd.read_csv(path, dtype={"id": str})
    if frame["id"].tolist() != challenge.train.rows["id"].tolist():
        raise InputError(f"{path} is not of the training rows of {manifest.challenge!r}")
    return frame


def choose(verdict: Verdict, wanted: str) -> Blend:
    """Return the blend of a name; for auto the best one surely better than the plain mean, or that mean."""
    if wanted == "smallest":
        return verdict.smallest
    if wanted != "auto":
        return next(blend for blend in verdict.blends if blend.method == wanted)
    plain = verdict.blends[0]
    blends = (*verdict.blends, *verdict.growing)
    gains = [(verdict.gain(plain.nested, blend.nested), blend) for blend in blends]
    sure = [(gain.value, blend) for gain, blend in gains if gain.sure]
    return max(sure, key=lambda each: each[0], default=(0.0, plain))[1]


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
    add("--top", type=int, default=5, help="or the so many best out of fold (default: %(default)s)")
    add("--take", choices=("auto", "smallest", *METHODS), default="auto",
        help="which blend becomes the submission (default: %(default)s)")  # fmt: skip
    add("--data", type=Path, default=Path("data"), help="folder of challenges (default: %(default)s)")
    add("--runs", type=Path, default=Path("runs"), help="folder of runs (default: %(default)s)")
    add("--submissions", type=Path, default=Path("submissions"), help="(default: %(default)s)")
    return exit_status(_run, parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> None:
    challenge = find_challenge(options.challenge, options.data)
    if not challenge.challenge.ensembles:
        raise InputError(f"{challenge.challenge.name!r} forbids ensembles")
    name = challenge.challenge.name
    paths = choose_files(challenge, options.submissions, options.members, options.top)
    members = read_members(paths, challenge, options.runs)
    metric = challenge.challenge.primary.metric
    columns = with_rank_mean(members.oof)
    verdict = judge(metric, columns, members.truth, members.fold, members.group)
    chosen = choose(verdict, options.take)
    wide = None if sys.stdout.isatty() else PIPED_WIDTH
    console = Console(markup=False, highlight=False, width=wide)
    console.print(_methods(verdict), _weights(members, verdict), _sizes(members, verdict))
    console.print(_errors(members, verdict))
    best, smallest = verdict.best, verdict.smallest
    console.print(f"smallest within noise of the best ({best.method}): {smallest.method}")
    console.print(f"taken: {chosen.method}")
    path = submit(options.submissions / name, challenge, members, chosen, verdict.judge.predict(chosen.lines))
    if has_answers(challenge):
        judged = score_submission(path, challenge)
        console.print(score_table(judged, challenge.challenge.scores, f"{path.stem} on {name}"))
    write_leaderboard(options.submissions)
    console.print(f"submission {path}", soft_wrap=True)


def submit(folder: Path, challenge: OpenChallenge, members: Members, blend: Blend, oof: np.ndarray) -> Path:
    """Write the blend as a submission with a manifest, unless the same predictions were submitted before.

    oof (N, T) are its predictions by nested folds.
    """
    sources = [Member(each.solution, each.run, each.csv_sha256) for each in members.manifests]
    recipe = make_recipe(blend.method, blend.line, sources)
    used = [sources.index(member) for member in recipe.members]
    predictions = recipe(members.test[used])
    before = _submitted(folder, challenge, members, predictions)
    if before is not None:
        print(f"{before} holds the same predictions already: no second submission is written")
        return before
    manifest = _manifest(challenge, members, recipe, used, oof)
    path = folder / f"ensemble-{manifest.run}.csv"
    write_submission(path, test_ids(challenge), predictions, target_names(challenge.challenge), manifest)
    return path


def _submitted(
    folder: Path, challenge: OpenChallenge, members: Members, predictions: np.ndarray
) -> Path | None:
    """Return the member, or the ensemble submitted before, that holds these predictions (K, T)."""
    board = read_board(folder)
    ensembles = [row.manifest for row in board.rows if row.manifest.kind == "ensemble"] if board else []
    files = [
        folder / f"ensemble-{each.run}.csv" for each in ensembles if each.challenge_digest == challenge.digest
    ]
    known = [(folder / f"{name}.csv", test) for name, test in zip(members.names, members.test, strict=True)]
    known += [(path, read_submission(path, challenge)) for path in files]
    return next((path for path, other in known if np.allclose(predictions, other, rtol=DIGITS, atol=0)), None)


def _manifest(
    challenge: OpenChallenge, members: Members, recipe: Recipe, used: Sequence[int], oof: np.ndarray
) -> Manifest:
    from competition.training.runs import command_line  # torch takes seconds

    stamp = datetime.now(UTC)
    config = recipe.to_config()
    salt = hashlib.sha256(json.dumps(config).encode()).hexdigest()[:6]
    folds = [members.fold == fold for fold in range(int(members.fold.max()) + 1)]
    metrics = fitting(members.truth)
    manifests = [members.manifests[number] for number in used]
    return Manifest(
        challenge=challenge.challenge.name,
        challenge_digest=challenge.digest,
        solution="ensemble",
        run=f"{stamp:%Y%m%d-%H%M%S}-{salt}",
        created=stamp.isoformat(timespec="seconds"),
        kind="ensemble",
        train_digest=challenge.challenge.train_digest,
        declared=declare(challenge.challenge),
        command=command_line(),
        config=config,
        oof={name: metric.function(members.truth, oof) for name, metric in metrics.items()},
        fold_scores={
            name: [metric.function(members.truth[rows], oof[rows]) for rows in folds]
            for name, metric in metrics.items()
        },
        num_parameters=sum(each.num_parameters or 0 for each in manifests),
        train_seconds=sum(each.train_seconds or 0 for each in manifests),
        fold_digest=manifests[0].fold_digest,
        notes="out-of-fold scores are nested: each fold by the weights that the others choose",
    )


def _methods(verdict: Verdict) -> Table:
    names = (
        "way",
        f"{verdict.judge.metric}, in sample",
        "nested folds",
        "over the best member",
        "over the plain mean",
    )
    table = Table(*names, box=box.SIMPLE_HEAD)
    for blend in verdict.blends:
        others = (verdict.best_single, verdict.blends[0].nested)
        gains = [_spell(verdict.gain(other, blend.nested)) for other in others]
        table.add_row(blend.method, f"{blend.in_sample:.4f}", f"{blend.nested.value:.4f}", *gains)
    return table


def _spell(gain: Gain) -> str:
    return f"{gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"


def _weights(members: Members, verdict: Verdict) -> Table:
    weighted = [blend for blend in verdict.blends if not blend.line.weights[-1]]
    table = Table("member", *(blend.method for blend in weighted), title="weights", box=box.SIMPLE_HEAD)
    for number, name in enumerate(members.names):
        table.add_row(name, *(f"{blend.line.weights[number]:.3f}" for blend in weighted))
    return table


def _sizes(members: Members, verdict: Verdict) -> Table:
    """Show what each further member brings, the mean or by least squares, whichever is better."""
    names = (
        "blend",
        "adds",
        f"nested {verdict.judge.metric}",
        f"over {verdict.best.method}",
        "over the plain mean",
    )
    table = Table(*names, title="how many are needed", box=box.SIMPLE_HEAD)
    known = np.zeros(len(members.manifests), dtype=bool)
    for blend in verdict.growing[:SHOWN_SIZES]:
        taken = blend.line.weights[:-1] > 0
        others = (verdict.best.nested, verdict.blends[0].nested)
        gains = [_spell(verdict.gain(other, blend.nested)) for other in others]
        added = [name for name, new in zip(members.names, taken & ~known, strict=True) if new]
        table.add_row(blend.method, ", ".join(added) or "-", f"{blend.nested.value:.4f}", *gains)
        known |= taken
    return table


def _errors(members: Members, verdict: Verdict) -> Table:
    names = [manifest.solution for manifest in members.manifests]
    table = Table("", *names, title="correlation of errors", box=box.SIMPLE_HEAD)
    for name, row in zip(names, verdict.errors, strict=True):
        table.add_row(name, *(f"{value:.2f}" for value in row))
    return table


if __name__ == "__main__":
    sys.exit(main())
