"""Several targets of a board, one by one."""

import statistics
from collections.abc import Sequence

from competition.board.board import Board
from competition.board.entries import Entry, entries

FEW = 4  # targets that have a column each; of more, a table shows the worst, the median and the best
NONE = "-"


def target_entries(board: Board) -> list[list[Entry]]:
    """Return for each submission, best first, and each control its entry of every target."""
    return [list(line) for line in zip(*map(entries, board.by_target.values()), strict=True)]


def target_headings(board: Board) -> list[str]:
    """Return the headings of the columns beside the name of a submission."""
    return list(board.by_target) if len(board.by_target) <= FEW else ["worst target", "median", "best target"]


def target_cells(board: Board, line: Sequence[Entry]) -> list[str]:
    """Return the text under the headings for one submission; under a score its interval, or its target."""
    if len(line) <= FEW:
        return [target_text(entry) for entry in line]
    known = [
        (entry.score, name)
        for entry, name in zip(line, board.by_target, strict=True)
        if entry.score is not None
    ]
    if not known:
        return [NONE] * 3
    known.sort(reverse=board.direction == "minimize")
    (low, worst), (high, best) = known[0], known[-1]
    return [
        f"{low:.4f}\n{worst}",
        f"{statistics.median(value for value, _ in known):.4f}",
        f"{high:.4f}\n{best}",
    ]


def target_text(entry: Entry) -> str:
    """Return the score of an entry and, on a second line, its interval."""
    if entry.score is None:
        return NONE
    interval = "" if entry.score_low is None else f"\n{entry.score_low:.4f} to {entry.score_high:.4f}"
    return f"{entry.score:.4f}{interval}"


def target_title(board: Board) -> str:
    return f"{board.score} of each target ({board.basis})"
