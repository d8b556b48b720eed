"""Print boards on a terminal."""

import sys
from collections.abc import Iterable

from rich.console import Console

from competition.board.board import Board
from competition.board.remarks import caption, notes
from competition.board.views import to_table, to_target_table

PIPED_WIDTH = 300  # where there is no terminal, nothing is left out


def show_boards(boards: Iterable[Board]) -> None:
    """Print each board with its caption, its targets one by one and its notes."""
    console = Console(markup=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    for board in boards:
        if board.rows:
            console.print(to_table(board, console.width))
            console.print(caption(board), highlight=False)
        if board.by_target:
            console.print(to_target_table(board, console.width))
        for note in notes(board):
            console.print(f"- {note}", highlight=False)
        console.print()
