"""Format a board for a terminal, as Markdown and as CSV."""

import csv
import io
import itertools
import json
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table

from competition.base.files import locked, write_text
from competition.base.terminal import duration, short
from competition.board.board import Board, read_boards
from competition.board.entries import Entry, entries
from competition.board.remarks import WARNED, caption, notes
from competition.board.targets import target_cells, target_entries, target_headings, target_title

FILE = "LEADERBOARD.md"
HEADER = (
    "# Leaderboard\n\nMade from the manifests by `python -m competition.leaderboard --write`; do not edit.\n"
)
NONE = "-"
EXPENDABLE = (
    "device", "rows/s", "run", "date", "evaluations", "training", "parameters", "seeds", "public", "private",
    "rescaled", "out-of-fold",
)  # fmt: skip
NAME_WIDTH = 36  # of a line of names or settings in a terminal; a third of a narrow one
INTERVAL = "95 %"


class Column(NamedTuple):
    """A column of a table: the field that it sorts by, and the text of an entry that has one."""

    heading: str  # "" is the name of the score
    field: str
    text: Callable[[Entry], str]
    is_text: bool = False  # numbers stand on the right


def _number(heading: str, field: str, text: Callable[[float], str]) -> Column:
    return Column(heading, field, lambda entry: text(getattr(entry, field)))


def _text(heading: str, field: str, text: Callable[[str], str] = str) -> Column:
    return Column(heading, field, lambda entry: text(getattr(entry, field)), is_text=True)


def _four(value: float) -> str:
    return f"{value:.4f}"


def _spread(entry: Entry) -> str:
    return f"{entry.oof_mean:.4f}" + ("" if entry.oof_sd is None else f" ± {entry.oof_sd:.4f}")


def _marked(entry: Entry) -> str:
    return f"{entry.solution} {WARNED}" if entry.warnings else entry.solution


def _seeds(entry: Entry) -> str:
    several = f" (of {entry.num_seeds}: ± {entry.seeds_sd:.4f})" if entry.seeds_sd is not None else ""
    return f"{entry.seed}{several}"


COLUMNS = (
    _number("tier", "tier", str),
    Column("solution", "solution", _marked, is_text=True),
    _number("", "score", _four),
    Column(INTERVAL, "score_low", lambda entry: f"{entry.score_low:.4f} to {entry.score_high:.4f}"),
    _number("rescaled", "rescaled", lambda value: f"{value:.3f}"),
    Column("out-of-fold", "oof_mean", _spread),
    _number("public", "public", _four),
    _number("private", "private", _four),
    _number("parameters", "parameters", short),
    _number("training", "train_seconds", duration),
    _text("device", "device"),
    _number("rows/s", "rows_per_second", short),
    Column("seeds", "seed", _seeds),
    _number("evaluations", "private_evaluations", str),
    _text("date", "created", lambda created: created[:10]),
    _text("run", "run"),
)


NAME = COLUMNS[1]


def headings(board: Board) -> list[str]:
    """Return the headings of a board's columns."""
    return [column.heading or board.score for column in COLUMNS]


def cells(board: Board) -> list[list[str]]:
    """Return the text of a board's cells, a list a line; settings are a second line under a name."""
    return [[_two_lines(entry, column) for column in COLUMNS] for entry in entries(board)]


def _two_lines(entry: Entry, column: Column) -> str:
    below = settings(entry) if column.field == "solution" else ""
    return f"{format_cell(entry, column)}\n{below}".rstrip("\n")


def format_cell(entry: Entry, column: Column) -> str:
    """Format a cell; what is not known of a submission, or is no score of a control, is a dash."""
    if getattr(entry, column.field) not in (None, ""):
        return column.text(entry)
    if column.field == "tier":
        return place(entry)
    return NONE if entry.run or column.field in ("score", "rescaled") else ""


def place(entry: Entry) -> str:
    """Return what the tier's column shows of an entry without a tier."""
    if entry.collapsed:
        return "collapsed"
    return {"solution": NONE, "ceiling": ""}.get(entry.kind, entry.kind)


def settings(entry: Entry) -> str:
    """Format in one line the settings in which an entry differs from others of its solution."""
    return ", ".join(f"{name}={_setting(value)}" for name, value in entry.settings.items())


def _setting(value: object) -> str:
    if isinstance(value, (list, tuple)) and value and all(isinstance(each, str) for each in value):
        return " + ".join(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def to_table(board: Board, width: int) -> Table:
    """Lay out a board for a terminal of this many columns; what does not fit is left out, never wrapped."""
    names = min(NAME_WIDTH, width // 3)
    lines = [headings(board), *([tier, _wrap(name, names), *rest] for tier, name, *rest in cells(board))]
    room = [max(map(_longest, column)) + 3 for column in zip(*lines, strict=True)]
    dropped = set(itertools.takewhile(lambda name: _width(lines[0], room, name) > width, EXPENDABLE))
    kept = [i for i, name in enumerate(lines[0]) if name not in dropped]
    table = Table(title=board.challenge, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for i in kept:
        table.add_column(lines[0][i], justify="left" if COLUMNS[i].is_text else "right", no_wrap=True)
    for line in lines[1:]:
        table.add_row(*(line[i] for i in kept))
    return table


def to_target_table(board: Board, width: int) -> Table:
    """Lay out several targets of a board for a terminal of this many columns."""
    table = Table(title=target_title(board), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("solution", no_wrap=True)
    for heading in target_headings(board):
        table.add_column(heading, justify="right")
    for name, *texts in _target_lines(board):
        table.add_row(_wrap(name, min(NAME_WIDTH, width // 3)), *texts)
    return table


def _target_lines(board: Board) -> list[list[str]]:
    """Return the cells of several targets, a list a submission."""
    return [[_two_lines(line[0], NAME), *target_cells(board, line)] for line in target_entries(board)]


def _wrap(cell: str, width: int) -> str:
    """Break a name, which is not to push a score out, and the settings under it into lines."""
    name, _, below = cell.partition("\n")
    lines = textwrap.wrap(below, width, break_on_hyphens=False)
    return "\n".join([*textwrap.wrap(name, width), *(f"  {line}" for line in lines)])


def _longest(cell: str) -> int:
    return max(map(len, cell.split("\n")))


def _width(names: Sequence[str], room: Sequence[int], upto: str) -> int:
    """Return the width of a table without the expendable columns that come before this one."""
    gone = EXPENDABLE[: EXPENDABLE.index(upto)]
    return sum(space for name, space in zip(names, room, strict=True) if name not in gone)


def to_markdown(board: Board) -> str:
    """Lay out a board as Markdown."""
    lines = [f"## {board.challenge}"]
    if board.rows:
        align = ["---" if column.is_text else "---:" for column in COLUMNS]
        lines += ["", caption(board), "", *_markdown([headings(board), align, *cells(board)])]
    if board.by_target:
        names = ["solution", *target_headings(board)]
        align = ["---", *("---:" for _ in names[1:])]
        lines += ["", f"{target_title(board)}:", "", *_markdown([names, align, *_target_lines(board)])]
    listed = [f"- {note}" for note in notes(board)]
    return "\n".join([*lines, "", *listed]).rstrip("\n") + "\n"


def _markdown(table: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(map(_escape, line)) + " |" for line in table]


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", "<br>")


def to_csv(boards: Sequence[Board]) -> str:
    """Return every entry of every board as CSV for programs: all digits, nothing where nothing is known.

    Where there are several targets, they follow the entries of their mean, which have no target.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    several = any(board.by_target for board in boards)
    writer.writerow(["challenge", "scored_by", "basis", "direction", *Entry._fields, *["target"] * several])
    for board in boards:
        for target, one in {"": board, **board.by_target}.items():
            for entry in entries(one):
                differing = json.dumps(dict(entry.settings)) if entry.settings else ""
                values = (entry._asdict() | {"settings": differing}).values()
                where = (board.challenge, board.score, board.basis, board.direction)
                writer.writerow([*where, *values, *[target] * several])
    return text.getvalue()


def write_leaderboard(submissions: Path) -> Path:
    """Write submissions/LEADERBOARD.md over all challenges; processes that finish together take turns."""
    path = submissions / FILE
    with locked(submissions):
        boards = read_boards(submissions)
        write_text(path, "\n".join([HEADER, *map(to_markdown, boards)]))
    return path
