"""The parser of a program's command line, and what several programs ask of their options."""

import argparse
from collections.abc import Callable
from inspect import cleandoc


def make_parser(program: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser for `python -m PROGRAM` whose help shows the description line by line.

    Options are to be written out: the beginning of one could be a typo of another.
    """
    return argparse.ArgumentParser(
        prog=f"python -m {program}",
        description=cleandoc(description or ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def whole_number(low: int, high: int = 2**31 - 1) -> Callable[[str], int]:
    """Return what reads an option's value as a whole number in [low, high]."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"got {text[:40]!r}; wanted a whole number from {low} to {high}")
        return value

    return read
