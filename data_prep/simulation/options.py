"""The command line of the built-in challenges: how many rows, from which seed."""

import argparse

from competition.base.parser import whole_number


def add_size_and_seed(parser: argparse.ArgumentParser, name: str, *, default: int, what: str) -> None:
    """Declare an option for the size of the training set, and --seed."""
    parser.add_argument(
        name, type=whole_number(1), default=default, help=f"training {what} (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=whole_number(0), default=0, help="seed of all random draws (default: %(default)s)"
    )
