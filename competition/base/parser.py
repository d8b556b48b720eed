"""The parser of a program's command line."""

import argparse


def make_parser(program: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser for `python -m PROGRAM` whose help shows the description line by line."""
    return argparse.ArgumentParser(
        prog=f"python -m {program}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
