"""The board of a challenge, made from the manifests in submissions/ and nothing else."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from competition.base.errors import InputError, one_of
from competition.base.files import file_digest
from competition.judging.bootstrap import RESAMPLES
from competition.judging.manifest import Declared, DeclaredScore, Manifest, of_target, read_manifest
from competition.judging.uncertainty import tiers, unpack

BASES = ("private", "all", "out-of-fold")  # what a board ranks by: the first of these that it has
DIGESTS = ("answers_digest", "train_digest", "challenge_digest")  # what says to which build a manifest is
SCORED = ("name", "metric", "direction", "subset", "weights")  # what makes two scores the same


class Row(NamedTuple):
    """A submission on the board. Without a value it has no tier, and `why` says why not."""

    manifest: Manifest
    tier: int | None
    value: float | None
    why: str


@dataclass(frozen=True)
class Board:
    """The submissions to one challenge, best first."""

    challenge: str
    score: str  # name of the primary score
    metric: str
    basis: str  # one of BASES
    direction: str
    tie_break: str  # name of the score that orders a tier; empty where the primary one does
    ceiling: float | None
    controls: dict[str, float | None]  # name -> value; they ignore the sequences
    rows: tuple[Row, ...]
    broken: tuple[str, ...]  # files that are left out, and why
    tie_bayes_factor: float | None = None  # under it two tie; None: where the interval includes 0
    by_target: Mapping[str, "Board"] = field(default_factory=dict)  # of several: same rows, without tiers


def read_board(folder: Path) -> Board | None:
    """Read the board of submissions/<challenge>; None where nothing was submitted."""
    manifests, broken = [], []
    for path in sorted(folder.glob("*.json")):
        try:
            manifests.append(_read_whole(path))
        except InputError as error:
            broken.append(str(error).replace(f"{folder}/", ""))
    if not manifests and not broken:
        return None
    return make_board(folder.name, manifests, broken)


def _read_whole(path: Path) -> Manifest:
    """Read a manifest whose submission is there, complete and unchanged."""
    manifest, table = read_manifest(path), path.with_suffix(".csv")
    if manifest.challenge != path.parent.name:
        raise InputError(f"{path} is of challenge {manifest.challenge!r}; wanted {path.parent.name!r}")
    if not manifest.declared.get("scores"):
        raise InputError(f"{path} declares no scores; wanted those of the challenge")
    if not manifest.csv_sha256 and not manifest.scores:
        return manifest  # a challenge without a test set: out-of-fold scores alone
    if not table.exists():
        raise InputError(f"{path}: {table.name} is missing")
    if file_digest(table) != manifest.csv_sha256:
        raise InputError(f"{path}: {table.name} is not the file that it describes (sha256 differs)")
    return manifest


def make_board(challenge: str, manifests: Sequence[Manifest], broken: Sequence[str] = ()) -> Board:
    """Rank manifests: a pure function of them, whatever their order.

    The newest one says which answers count and how they are scored; the rest of the declaration may differ.
    Controls, collapsed runs and submissions to another build are shown without a tier.
    """
    newest = max(manifests, key=_by_age, default=None)
    if newest is None:
        return Board(challenge, "", "", "", "", "", None, {}, (), tuple(broken))
    standard, basis = _standard(manifests, newest)
    declared, primary = standard.declared, _primary(standard)
    placed = [_place(manifest, standard, basis) for manifest in manifests]
    placed.sort(key=lambda row: _order(row, primary["direction"]))
    ranked = _ranked(placed, basis, declared)
    board = Board(
        challenge=challenge,
        score=primary["name"],
        metric=primary["metric"],
        basis=basis,
        direction=primary["direction"],
        tie_break=declared.get("tie_break", ""),
        ceiling=declared.get("ceiling", {}).get(primary["name"]),
        controls=_controls(standard, basis, primary["name"]),
        rows=tuple(_break_ties(ranked, declared, basis)),
        broken=tuple(broken),
        tie_bayes_factor=declared.get("tie_bayes_factor"),
    )
    return replace(board, by_target={name: _of_target(board, standard, name) for name in standard.targets})


def _of_target(board: Board, standard: Manifest, name: str) -> Board:
    """Return the board of one target: the same rows in the same order, without tiers and ceiling."""
    primary, rows = _primary(standard), []
    for row in board.rows:
        own = of_target(row.manifest, name)
        value = None if row.why else _value(own, primary, board.basis)
        rows.append(
            Row(own, None, value, row.why or ("" if value is not None else "no score of this target"))
        )
    controls = _controls(of_target(standard, name), board.basis, board.score)
    return replace(board, rows=tuple(rows), controls=controls, ceiling=None, broken=())


def _controls(manifest: Manifest, basis: str, score: str) -> dict[str, float | None]:
    return {name: usages.get(basis, {}).get(score) for name, usages in manifest.controls.items()}


def _by_age(manifest: Manifest) -> tuple[str, str, str]:
    return manifest.created, manifest.solution, manifest.run


def _kinds(declared: Declared) -> set[str]:
    return {"solution", "ensemble"} if declared.get("ensembles", True) else {"solution"}


def _primary(manifest: Manifest) -> DeclaredScore:
    return manifest.declared["scores"][0]


def _standard(manifests: Sequence[Manifest], newest: Manifest) -> tuple[Manifest, str]:
    """Return the submission that all others must be comparable with, and the basis.

    It is the newest one with a score among those to the build of the very newest: with the same answers or,
    where that was not scored, the same training rows. Manifests of earlier versions know neither.
    """
    digest = next((name for name in DIGESTS if getattr(newest, name)), DIGESTS[-1])
    build = getattr(newest, digest)
    alike = [m for m in manifests if getattr(m, digest) == build and not m.collapsed]
    for basis in BASES:
        scored = [m for m in alike if _value(m, _primary(m), basis) is not None]
        if scored:
            return max(scored, key=_by_age), basis
    return newest, BASES[-1]


def _build(manifest: Manifest, basis: str) -> tuple[object, ...]:
    """Return all that two submissions must share to be comparable: the rows and the score."""
    rows = manifest.train_digest if basis == "out-of-fold" else manifest.answers_digest
    return rows or manifest.challenge_digest, *(_primary(manifest).get(name) for name in SCORED)


def _value(manifest: Manifest, score: DeclaredScore, basis: str) -> float | None:
    """Return a submission's score by a basis."""
    if basis == "out-of-fold":
        return oof_score(manifest, score["name"], score["metric"])
    return manifest.scores.get(basis, {}).get(score["name"])


def oof_score(manifest: Manifest, name: str, metric: str) -> float | None:
    """Return a score over the out-of-fold rows; its metric on all of them stands for a composite."""
    return manifest.oof.get(name, manifest.oof.get(metric))


def _place(manifest: Manifest, standard: Manifest, basis: str) -> Row:
    value = _value(manifest, _primary(standard), basis)
    why = f"no {basis} score" if value is None else ""
    if value is not None and _build(manifest, basis) != _build(standard, basis):
        why = "another build of the challenge"
    if manifest.collapsed:
        why = f"collapsed: {manifest.collapsed}"
    return Row(manifest, None, None if why else value, why)


def _order(row: Row, direction: str) -> tuple[bool, float, str, str]:
    """Sort by score, best first, then rows without one; equal scores by name, so that order is stable."""
    better = math.inf if row.value is None else -row.value if direction == "maximize" else row.value
    return row.value is None, better, row.manifest.solution, row.manifest.run


def _ranked(rows: Sequence[Row], basis: str, declared: Declared) -> list[Row]:
    """Give tiers to those that compete: those that tie by resamples of the test rows share one."""
    competing = [row for row in rows if row.value is not None and row.manifest.kind in _kinds(declared)]
    found = tiers(
        [_draws(row, basis) for row in competing],
        maximize=declared["scores"][0]["direction"] == "maximize",
        tie_bayes_factor=declared.get("tie_bayes_factor"),
    )
    tier = {id(row.manifest): number for row, number in zip(competing, found, strict=True)}
    return [row._replace(tier=tier.get(id(row.manifest))) for row in rows]


def _break_ties(rows: Sequence[Row], declared: Declared, basis: str) -> list[Row]:
    """Order the rows of each tier by the declared tie-break, those without it last."""
    score = next((s for s in declared["scores"] if s["name"] == declared.get("tie_break")), None)
    if score is None:
        return list(rows)
    sign = -1 if score["direction"] == "maximize" else 1
    found: list[Row] = []
    for tier, members in itertools.groupby(rows, key=lambda row: row.tier):
        values = [(_value(row.manifest, score, basis), row) for row in members]
        known = [(sign * value, row) for value, row in values if tier is not None and value is not None]
        found += [row for _, row in sorted(known, key=lambda each: each[0])]
        found += [row for value, row in values if tier is None or value is None]
    return found


def _draws(row: Row, basis: str) -> np.ndarray:
    """Return a submission's score in every resample; the score itself where there are none."""
    if basis in row.manifest.draws:
        return unpack(row.manifest.draws[basis])
    return np.full(RESAMPLES, row.value)


def read_boards(submissions: Path, challenge: str | None = None) -> list[Board]:
    """Read the boards of every challenge that has submissions, by name, or of one."""
    names = sorted(path.name for path in submissions.glob("*") if path.is_dir())
    if challenge is not None and challenge not in names:
        raise one_of(f"challenge in {submissions}", challenge, names)
    boards = [read_board(submissions / name) for name in names if challenge in (None, name)]
    return [board for board in boards if board is not None]
