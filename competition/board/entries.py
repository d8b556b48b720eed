"""The lines of a board as typed values, which all views format."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from competition.board.board import Board, Row, oof_score
from competition.judging.manifest import Manifest

NO_SETTINGS: Mapping[str, object] = {}


class Entry(NamedTuple):
    """A line of a board; None (of text: "") is what is not known. The names are the columns of the CSV."""

    kind: str  # "ceiling", "solution", "ensemble" or "control"
    tier: int | None
    solution: str
    settings: Mapping[str, object]  # in which it differs from others of its solution
    score: float | None
    score_low: float | None = None  # of the 95 % interval
    score_high: float | None = None
    rescaled: float | None = None  # 0 is the best control, 1 the ceiling
    oof_mean: float | None = None  # over the folds
    oof_sd: float | None = None
    public: float | None = None
    private: float | None = None
    parameters: int | None = None
    train_seconds: float | None = None
    device: str = ""
    rows_per_second: float | None = None
    seed: int | None = None
    num_seeds: int | None = None  # scored with the same solution and settings
    seeds_sd: float | None = None  # of their scores
    private_evaluations: int | None = None
    created: str = ""  # ISO 8601
    run: str = ""
    collapsed: bool = False
    note: str = ""  # why it has no score
    warnings: str = ""  # leaks of the challenge, which flatter its scores


def entries(board: Board) -> list[Entry]:
    """Return the lines of a board: the ceiling, the submissions best first, the controls."""
    settings = differences([row.manifest for row in board.rows])
    lines = [_entry(row, board, differing) for row, differing in zip(board.rows, settings, strict=True)]
    if board.ceiling is not None:
        lines.insert(0, _reference("ceiling", "ceiling (noise)", board.ceiling, board))
    return lines + [_reference("control", name, value, board) for name, value in board.controls.items()]


def _reference(kind: str, name: str, value: float | None, board: Board) -> Entry:
    return Entry(kind, None, name, NO_SETTINGS, value, rescaled=_rescaled(value, board))


def _entry(row: Row, board: Board, settings: Mapping[str, object]) -> Entry:
    manifest = row.manifest
    entry = Entry(
        manifest.kind, row.tier, manifest.solution, settings, row.value,
        parameters=manifest.num_parameters, train_seconds=manifest.train_seconds, device=manifest.device,
        rows_per_second=manifest.rows_per_second, seed=manifest.seed,
        private_evaluations=manifest.private_evaluations, created=manifest.created, run=manifest.run,
        collapsed=manifest.collapsed is not None, note=row.why, warnings="; ".join(manifest.warnings),
    )  # fmt: skip
    return entry if entry.collapsed else _with_scores(entry, row, board)


def _with_scores(entry: Entry, row: Row, board: Board) -> Entry:
    manifest = row.manifest
    low_high = manifest.intervals.get(board.basis, {}).get(board.score)
    low, high = low_high if low_high and row.value is not None else (None, None)
    mean, sd = _out_of_fold(manifest, board)
    num_seeds, seeds_sd = _seeds(row, board)
    public, private = (manifest.scores.get(usage, {}).get(board.score) for usage in ("public", "private"))
    return entry._replace(
        score_low=low, score_high=high, rescaled=_rescaled(row.value, board), oof_mean=mean, oof_sd=sd,
        public=public, private=private, num_seeds=num_seeds, seeds_sd=seeds_sd,
    )  # fmt: skip


def _rescaled(value: float | None, board: Board) -> float | None:
    """Return a score on the scale from the best control, 0, to the ceiling, 1."""
    known = [each for each in board.controls.values() if each is not None]
    if value is None or board.ceiling is None or not known:
        return None
    zero = max(known) if board.direction == "maximize" else min(known)
    return (value - zero) / (board.ceiling - zero) + 0.0 if board.ceiling != zero else None


def _out_of_fold(manifest: Manifest, board: Board) -> tuple[float | None, float | None]:
    folds = manifest.fold_scores.get(board.score, manifest.fold_scores.get(board.metric, []))
    if len(folds) < 2:
        return oof_score(manifest, board.score, board.metric), None
    return statistics.fmean(folds), statistics.stdev(folds)


def _seeds(row: Row, board: Board) -> tuple[int | None, float | None]:
    """Count the seeds of a row's solution and settings, and return the spread of their scores."""
    if row.manifest.seed is None or row.value is None:
        return None, None
    alike = [other for other in board.rows if _recipe(other.manifest) == _recipe(row.manifest)]
    values = {other.manifest.seed: other.value for other in alike if other.value is not None}
    return len(values), statistics.stdev(values.values()) if len(values) > 1 else None


def _recipe(manifest: Manifest) -> tuple[object, ...]:
    """Return all that two runs have in common that differ by their seed alone."""
    return (
        manifest.kind, manifest.solution, manifest.source_digest, manifest.fold_digest, manifest.init,
        manifest.exclude_homologs_of, manifest.config, manifest.train_digest or manifest.challenge_digest,
    )  # fmt: skip


# How the lines of one solution differ


def differences(manifests: Sequence[Manifest]) -> list[dict[str, object]]:
    """Return for each manifest the settings in which it differs from others of the same kind and solution."""
    members = _short_names(manifests)
    known = [_settings(manifest, members) for manifest in manifests]
    groups: dict[tuple[str, str], list[dict[str, object]]] = {}
    for manifest, settings in zip(manifests, known, strict=True):
        groups.setdefault((manifest.kind, manifest.solution), []).append(settings)
    return [
        _differing(settings, groups[manifest.kind, manifest.solution])
        for manifest, settings in zip(manifests, known, strict=True)
    ]


def _differing(settings: dict[str, object], group: Sequence[dict[str, object]]) -> dict[str, object]:
    def differs(name: str) -> bool:
        return any(name not in other or other[name] != settings[name] for other in group)

    return {name: value for name, value in settings.items() if differs(name)}


def _settings(manifest: Manifest, members: Mapping[tuple[str, str], str]) -> dict[str, object]:
    """Return the settings of a run without seed and date; what was not asked for is left out."""
    config = dict(manifest.config)
    if manifest.kind == "ensemble":
        config = {"method": config.get("method"), "members": [members[each] for each in _members(manifest)]}
    beside = {
        "published": "--published" in manifest.command.split(), "folds": manifest.num_folds,
        "init": Path(manifest.init).name, "exclude_homologs_of": manifest.exclude_homologs_of,
        "precision": manifest.precision, "processes": manifest.num_processes,
        "source": manifest.source_digest[:6],
    }  # fmt: skip
    return config | {name: value for name, value in beside.items() if value}


def _members(manifest: Manifest) -> list[tuple[str, str]]:
    """Return solution and run of the members of an ensemble."""
    members = manifest.config.get("members", [])
    if not isinstance(members, (list, dict)):
        return []
    return [
        (each["solution"], each["run"]) if isinstance(each, dict) else (str(each), "") for each in members
    ]


def _short_names(manifests: Sequence[Manifest]) -> dict[tuple[str, str], str]:
    """Name each member of the ensembles by its solution, with its run where several runs are members."""
    found = {member for each in manifests if each.kind == "ensemble" for member in _members(each)}
    runs = Counter(solution for solution, _ in found)
    return {each: each[0] if runs[each[0]] == 1 else "-".join(each) for each in found}
