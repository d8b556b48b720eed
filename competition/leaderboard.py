"""The leaderboard: a view over the manifests in submissions/, never a second truth.

python -m competition.leaderboard [CHALLENGE]
"""

import argparse
import csv
import io
import itertools
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from competition import toml
from competition.data.store import file_digest
from competition.errors import InputError, exit_status, one_of
from competition.judging.bootstrap import RESAMPLES, spell_tie
from competition.judging.manifest import Manifest, locked, read_manifest
from competition.judging.page import Section, to_page
from competition.judging.uncertainty import tiers, unpack
from competition.training.progress import duration

FILE = "LEADERBOARD.md"
NONE = "-"
EXPENDABLE = (
    "device", "rows/s", "run", "date", "looks", "training", "parameters", "seeds", "public", "private",
    "rescaled",
)  # fmt: skip
PIPED_WIDTH = 240  # where there is no terminal, nothing is left out
LEFT = ("solution", "device", "date", "run")  # columns of text; numbers stand on the right
BASES = ("private", "all", "out-of-fold")  # what a board ranks by: the first of these that it has
DIGESTS = ("answers_digest", "train_digest", "challenge_digest")  # what says to which build a manifest is
SCORED = ("name", "metric", "direction", "subset", "weights")  # what makes two scores the same
HEADER = (
    "# Leaderboard\n\nMade from the manifests by `python -m competition.leaderboard --write`; do not edit.\n"
)


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
    controls: dict[str, float | None]  # name -> value: what knows nothing of the sequences
    rows: tuple[Row, ...]
    broken: tuple[str, ...]  # files that are no part of the board, and why
    tie_bayes_factor: float | None = (
        None  # under which two are a tie; None: by the interval of the difference
    )


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
    judged = [_judge(manifest, standard, basis) for manifest in manifests]
    judged.sort(key=lambda row: _order(row, primary["direction"]))
    ranked = _ranked(judged, basis, declared, allowed=_kinds(declared))
    return Board(
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


def _controls(manifest: Manifest, basis: str, score: str) -> dict[str, float | None]:
    return {name: usages.get(basis, {}).get(score) for name, usages in manifest.controls.items()}


def _by_age(manifest: Manifest) -> tuple[str, str, str]:
    return manifest.created, manifest.solution, manifest.run


def _kinds(declared: dict[str, Any]) -> set[str]:
    return {"solution", "ensemble"} if declared.get("ensembles", True) else {"solution"}


def _primary(manifest: Manifest) -> dict[str, Any]:
    score: dict[str, Any] = manifest.declared["scores"][0]
    return score


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


def _build(manifest: Manifest, basis: str) -> tuple[Any, ...]:
    """Return all that two submissions must share to be comparable: the rows and the score."""
    rows = manifest.train_digest if basis == "out-of-fold" else manifest.answers_digest
    return rows or manifest.challenge_digest, *(_primary(manifest).get(name) for name in SCORED)


def _value(manifest: Manifest, primary: dict[str, Any], basis: str) -> float | None:
    """Return a submission's score; out of fold a composite is stood in for by its metric on all rows."""
    if basis == "out-of-fold":
        return manifest.oof.get(primary["name"], manifest.oof.get(primary["metric"]))
    return manifest.scores.get(basis, {}).get(primary["name"])


def _judge(manifest: Manifest, standard: Manifest, basis: str) -> Row:
    value = _value(manifest, _primary(standard), basis)
    why = f"no {basis} score" if value is None else ""
    if value is not None and _build(manifest, basis) != _build(standard, basis):
        why = "another build of the challenge"
    if manifest.collapsed:
        why = f"collapsed: {manifest.collapsed}"
    return Row(manifest, None, None if why else value, why)


def _order(row: Row, direction: str) -> tuple[Any, ...]:
    """Sort by score, best first, then rows without one; equal scores by name, so that order is stable."""
    better = math.inf if row.value is None else -row.value if direction == "maximize" else row.value
    return row.value is None, better, row.manifest.solution, row.manifest.run


def _ranked(rows: Sequence[Row], basis: str, declared: dict[str, Any], allowed: set[str]) -> list[Row]:
    """Give tiers to those that compete: what resamples of the test rows cannot tell apart shares one."""
    competing = [row for row in rows if row.value is not None and row.manifest.kind in allowed]
    found = tiers(
        [_draws(row, basis) for row in competing],
        maximize=declared["scores"][0]["direction"] == "maximize",
        tie_bayes_factor=declared.get("tie_bayes_factor"),
    )
    tier = {id(row.manifest): number for row, number in zip(competing, found, strict=True)}
    return [row._replace(tier=tier.get(id(row.manifest))) for row in rows]


def _break_ties(rows: Sequence[Row], declared: dict[str, Any], basis: str) -> list[Row]:
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


def headings(board: Board) -> list[str]:
    """Return the headings of a board's columns."""
    return [
        "tier", "solution", board.score, "95 %", "rescaled", "out-of-fold", "public", "private",
        "parameters", "training", "device", "rows/s", "seeds", "looks", "date", "run",
    ]  # fmt: skip


def caption(board: Board) -> str:
    """Say what a board ranks by and what its out-of-fold column holds."""
    better = "higher is better" if board.direction == "maximize" else "lower is better"
    return (
        f"Ranked by {board.score} ({board.basis}), {better}; what {RESAMPLES:,} resamples of the test rows "
        f"cannot tell from a tier's first shares its tier ({spell_tie(board.tie_bayes_factor)})"
        f"{_tie_break(board)}. "
        "Rescaled: 0 is the best control, 1 the ceiling. Out-of-fold is "
        f"{board.metric} on the training rows, mean ± sd over the folds. Seeds: this one's, and how many "
        "of the same solution and settings are here with the sd of their scores. Looks: how many "
        "predictions had been scored on the private answers by then."
    )


def _tie_break(board: Board) -> str:
    return f"; {board.tie_break} orders a tier" if board.tie_break else ""


def cells(board: Board) -> list[list[str]]:
    """Return the text of a board's cells, a list a line: ceiling, submissions best first, controls."""
    width = len(headings(board))
    lines = [_cells(row, board) for row in board.rows]
    if board.ceiling is not None:
        lines.insert(0, ["", "ceiling (noise)", _number(board.ceiling), "", _rescaled(board.ceiling, board)])
    for name, value in board.controls.items():
        lines.append(["control", name, _number(value), "", _rescaled(value, board)])
    return [line + [""] * (width - len(line)) for line in lines]


def _rescaled(value: float | None, board: Board) -> str:
    """Spell a score on the scale from the best control, 0, to the ceiling, 1."""
    known = [each for each in board.controls.values() if each is not None]
    if value is None or board.ceiling is None or not known:
        return NONE
    zero = max(known) if board.direction == "maximize" else min(known)
    return f"{(value - zero) / (board.ceiling - zero) + 0.0:.3f}" if board.ceiling != zero else NONE


def _cells(row: Row, board: Board) -> list[str]:
    manifest = row.manifest
    place = "collapsed" if manifest.collapsed else NONE if manifest.kind == "solution" else manifest.kind
    scores = [NONE] * 5
    if not manifest.collapsed:
        low_high = manifest.intervals.get(board.basis, {}).get(board.score)
        usages = [manifest.scores.get(usage, {}).get(board.score) for usage in ("public", "private")]
        scores = [
            f"{low_high[0]:.4f} to {low_high[1]:.4f}" if low_high and row.value is not None else NONE,
            _rescaled(row.value, board), _out_of_fold(manifest, board), *map(_number, usages),
        ]  # fmt: skip
    return [
        place if row.tier is None else str(row.tier),
        manifest.solution,
        _number(row.value),
        *scores,
        NONE if manifest.num_parameters is None else _short(manifest.num_parameters),
        NONE if manifest.train_seconds is None else duration(manifest.train_seconds),
        manifest.device or NONE,
        NONE if manifest.rows_per_second is None else _short(manifest.rows_per_second),
        _seeds(row, board),
        NONE if manifest.looks is None else str(manifest.looks),
        manifest.created[:10],
        manifest.run,
    ]


def _seeds(row: Row, board: Board) -> str:
    """Spell a run's seed, and the spread of scores over the seeds of its solution and settings."""
    if row.manifest.seed is None:
        return NONE
    alike = [other for other in board.rows if _recipe(other.manifest) == _recipe(row.manifest)]
    values = {other.manifest.seed: other.value for other in alike if other.value is not None}
    if len(values) < 2 or row.value is None:
        return str(row.manifest.seed)
    return f"{row.manifest.seed} (of {len(values)}: ± {statistics.stdev(values.values()):.4f})"


def _recipe(manifest: Manifest) -> tuple[Any, ...]:
    """Return all that two runs have in common that differ by their seed alone."""
    return (
        manifest.kind, manifest.solution, manifest.source_digest, manifest.fold_digest, manifest.config,
        manifest.train_digest or manifest.challenge_digest,
    )  # fmt: skip


def _out_of_fold(manifest: Manifest, board: Board) -> str:
    folds = manifest.fold_scores.get(board.score, manifest.fold_scores.get(board.metric, []))
    if len(folds) < 2:
        return _number(_value(manifest, {"name": board.score, "metric": board.metric}, "out-of-fold"))
    return f"{statistics.fmean(folds):.4f} ± {statistics.stdev(folds):.4f}"


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.4f}"


def _short(number: float) -> str:
    """Spell a count with three digits: 512, 1.72k, 34.2M, 30.7G."""
    for unit in ("", "k", "M"):
        if abs(number) < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g}G"


def notes(board: Board) -> list[str]:
    """Return what a board has to say besides its table: who has no score, and which files are broken."""
    unranked = [
        f"{row.manifest.solution} {row.manifest.run} has no score: {row.why}" for row in board.rows if row.why
    ]
    return unranked + [f"left out: {reason}" for reason in board.broken]


def to_table(board: Board, width: int) -> Table:
    """Lay out a board for a terminal of this many columns; what does not fit is left out, never wrapped."""
    lines = [headings(board), *cells(board)]
    room = [max(map(len, column)) + 3 for column in zip(*lines, strict=True)]
    dropped = set(itertools.takewhile(lambda name: _width(lines[0], room, name) > width, EXPENDABLE))
    kept = [i for i, name in enumerate(lines[0]) if name not in dropped]
    table = Table(title=board.challenge, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for i in kept:
        table.add_column(lines[0][i], justify="left" if lines[0][i] in LEFT else "right", no_wrap=True)
    for line in lines[1:]:
        table.add_row(*(line[i] for i in kept))
    return table


def _width(names: Sequence[str], room: Sequence[int], upto: str) -> int:
    """Return the width of a table without the expendable columns that come before this one."""
    gone = EXPENDABLE[: EXPENDABLE.index(upto)]
    return sum(space for name, space in zip(names, room, strict=True) if name not in gone)


def to_markdown(board: Board) -> str:
    """Lay out a board as Markdown."""
    lines = [f"## {board.challenge}"]
    if board.rows:
        align = ["---" if heading in LEFT else "---:" for heading in headings(board)]
        table = [headings(board), align, *cells(board)]
        lines += ["", caption(board), ""]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in table]
    listed = [f"- {note}" for note in notes(board)]
    return "\n".join([*lines, "", *listed]).rstrip("\n") + "\n"


def to_section(board: Board) -> Section:
    """Return what a page shows of a board."""
    by_place = {(row.manifest.solution, row.manifest.run): row for row in board.rows}
    lines = cells(board)
    spans = [_span(by_place.get((line[1], line[-1])), board) for line in lines]
    return Section(board.challenge, caption(board), headings(board), lines, spans, notes(board), LEFT, "95 %")


def _span(row: Row | None, board: Board) -> tuple[float, float, float] | None:
    """Return the interval and the value of a line, where it has both."""
    low_high = row.manifest.intervals.get(board.basis, {}).get(board.score) if row is not None else None
    if row is None or row.value is None or low_high is None:
        return None
    return low_high[0], row.value, low_high[1]


def to_csv(boards: Sequence[Board]) -> str:
    """Return every line of every board as CSV, the challenge first; a score's column is called score."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for number, board in enumerate(boards):
        if number == 0:
            names = ["score" if name == board.score else name for name in headings(board)]
            writer.writerow(["challenge", "scored by", *names])
        writer.writerows([board.challenge, board.score, *line] for line in cells(board))
    return text.getvalue()


def read_boards(submissions: Path, challenge: str | None = None) -> list[Board]:
    """Read the boards of every challenge that has submissions, by name, or of one."""
    names = sorted(path.name for path in submissions.glob("*") if path.is_dir())
    if challenge is not None and challenge not in names:
        raise one_of(f"challenge in {submissions}", challenge, names)
    boards = [read_board(submissions / name) for name in names if challenge in (None, name)]
    return [board for board in boards if board is not None]


def write_leaderboard(submissions: Path) -> Path:
    """Write submissions/LEADERBOARD.md over all challenges; processes that finish together take turns."""
    path = submissions / FILE
    with locked(submissions):
        boards = read_boards(submissions)
        toml.write_text(path, "\n".join([HEADER, *map(to_markdown, boards)]))
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Show the leaderboard of one challenge or of all."""
    parser = argparse.ArgumentParser(prog="python -m competition.leaderboard", description=main.__doc__)
    parser.add_argument("challenge", nargs="?", help="default: all of them")
    parser.add_argument("--submissions", type=Path, default=Path("submissions"))
    parser.add_argument("--write", action="store_true", help=f"write {FILE} as well")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one page with all of it as well")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a table with all of it as well")
    return exit_status(_show, parser.parse_args(arguments))


def _show(options: argparse.Namespace) -> None:
    boards = read_boards(options.submissions, options.challenge)
    console = Console(markup=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    for board in boards:
        if board.rows:
            console.print(to_table(board, console.width))
            console.print(caption(board), highlight=False)
        for note in notes(board):
            console.print(f"- {note}", highlight=False)
        console.print()
    if not boards:
        print(f"{options.submissions} holds no submissions yet")
    if options.write:
        print(write_leaderboard(options.submissions))
    if options.html is not None:
        toml.write_text(options.html, to_page([to_section(board) for board in boards if board.rows]))
        print(options.html)
    if options.csv is not None:
        toml.write_text(options.csv, to_csv(boards))
        print(options.csv)


if __name__ == "__main__":
    sys.exit(main())
