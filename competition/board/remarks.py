"""What a board says besides its table."""

import collections

from competition.board.board import Board
from competition.judging.bootstrap import RESAMPLES, describe_tie

WARNED = "†"  # beside the name of a submission whose scores a leak flatters


def caption(board: Board) -> str:
    """Say what a board ranks by and what its out-of-fold column holds."""
    better = "higher is better" if board.direction == "maximize" else "lower is better"
    return (
        f"Ranked by {board.score} ({board.basis}), {better}; a tier holds its best submission and those that "
        f"tie with it by {RESAMPLES:,} resamples of the test rows ({describe_tie(board.tie_bayes_factor)})"
        f"{_tie_break(board)}. "
        "Rescaled: 0 is the best control, 1 the ceiling. Out-of-fold: "
        f"{board.metric} on the training rows, mean ± sd over the folds. Seeds: the seed and, in brackets, "
        "how many runs there are of the same solution and settings, with the sd of their scores. "
        "Evaluations: private-set evaluations of this challenge by then."
    )


def _tie_break(board: Board) -> str:
    return f"; {board.tie_break} orders a tier" if board.tie_break else ""


def notes(board: Board) -> list[str]:
    """Return what a board says besides its table: leaks, who has no score, and which files are broken."""
    unranked = [
        f"{row.manifest.solution} {row.manifest.run} has no score: {row.why}" for row in board.rows if row.why
    ]
    warned = collections.Counter(warning for row in board.rows for warning in row.manifest.warnings)
    leaking = [
        f"{WARNED} warning, {count} of {len(board.rows)} submissions: {warning}"
        for warning, count in warned.items()
    ]
    return leaking + unranked + [f"left out: {reason}" for reason in board.broken]
