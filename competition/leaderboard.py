"""Show the leaderboard, which is made from the manifests in submissions/.

python -m competition.leaderboard [CHALLENGE]
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from competition.base.errors import exit_status
from competition.base.files import write_text
from competition.base.parser import make_parser
from competition.board.board import read_boards
from competition.board.page import to_page
from competition.board.show import show_boards
from competition.board.views import FILE, to_csv, write_leaderboard


def main(arguments: Sequence[str] | None = None) -> int:
    """Show the leaderboard of one challenge or of all."""
    parser = make_parser("competition.leaderboard", main.__doc__)
    parser.add_argument("challenge", nargs="?", help="default: all of them")
    parser.add_argument("--submissions", type=Path, default=Path("submissions"))
    parser.add_argument("--write", action="store_true", help=f"also write {FILE}")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write all boards as one HTML page")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write all entries with every digit")
    return exit_status(_show, parser.parse_args(arguments))


def _show(options: argparse.Namespace) -> None:
    boards = read_boards(options.submissions, options.challenge)
    show_boards(boards)
    if not boards:
        print(f"{options.submissions} holds no submissions yet")
    if options.write:
        print(write_leaderboard(options.submissions))
    if options.html is not None:
        write_text(options.html, to_page([board for board in boards if board.rows]))
        print(options.html)
    if options.csv is not None:
        write_text(options.csv, to_csv(boards))
        print(options.csv)


if __name__ == "__main__":
    sys.exit(main())
