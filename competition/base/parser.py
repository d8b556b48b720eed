"""The parser of a program's command line, and what several programs ask of their options."""

import argparse

from competition.base.errors import InputError


def make_parser(program: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser for `python -m PROGRAM` whose help shows the description line by line."""
    return argparse.ArgumentParser(
        prog=f"python -m {program}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def require_seed(seed: int) -> None:
    """Raise InputError where no random generator takes a seed."""
    if seed < 0:
        raise InputError(f"--seed {seed}; wanted 0 or more")
