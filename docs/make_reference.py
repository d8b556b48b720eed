"""Write docs/reference/command-line.md from the programs' own parsers: python docs/make_reference.py"""

import argparse
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1]))

from competition.__main__ import programs
from data_prep.__main__ import main as prepare
from data_prep.__main__ import preparers

PAGE = Path(__file__).parent / "reference" / "command-line.md"
HEADER = """# Command line

Made from the programs' parsers by `python docs/make_reference.py`; do not edit. `competition run ...` and
`python -m competition.run ...` are the same program. A program ends with status 0, or with 2 and one line on
standard error after a user's mistake; `check`, `audit` and `submission` end with 1 where they find a fault,
and Ctrl-C and SIGTERM with 130 and 143.
"""


class Parsed(Exception):
    """Carries a program's parser out of it at the moment it would be used."""


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of every command: competition.run, data_prep table, ..."""
    found = {}
    for name in programs():
        module = importlib.import_module(f"competition.{name}")
        found[f"competition.{name}"] = _parser(module.main, [])
    for name in preparers():
        found[f"data_prep {name}"] = _parser(prepare, [name])
    return found


def _parser(main: Callable[[list[str]], int], arguments: list[str]) -> argparse.ArgumentParser:
    def stop(self: argparse.ArgumentParser, *_: object, **__: object) -> None:
        raise Parsed(self)

    with mock.patch.object(argparse.ArgumentParser, "parse_args", stop):
        try:
            main(arguments)
        except Parsed as parsed:
            parser: argparse.ArgumentParser = parsed.args[0]
            return parser
    raise AssertionError(f"{main.__module__} has no parser")


def page() -> str:
    """Return the text of the page."""
    sections = [_section(f"python -m {name}", parser) for name, parser in parsers().items()]
    return "\n".join([HEADER, *sections])


def _section(command: str, parser: argparse.ArgumentParser) -> str:
    """Lay out a command, and those below it, as a heading, a sentence and a table."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    parts = {f"{command} {name}": each for action in below for name, each in action.choices.items()}
    rows = "\n".join(_rows(parser))
    table = f"\n| argument | default | |\n|---|---|---|\n{rows}\n" if rows else ""
    text = f"## {command}\n\n{_summary(parser)}\n{table}"
    return "\n".join([text, *(_section(*part) for part in parts.items())])


def _summary(parser: argparse.ArgumentParser) -> str:
    """Return the first paragraph of a description, on one line."""
    return " ".join((parser.description or "").strip().split("\n\n")[0].split())


def _rows(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
            cells = f"`{_usage(action)}`", _default(action), _help(action, parser)
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _usage(action: argparse.Action) -> str:
    """Return an argument as it is typed: --folds FOLDS, or FILE."""
    value = action.metavar or (
        "{" + ",".join(action.choices) + "}" if action.choices else action.dest.upper()
    )
    value = value if isinstance(value, str) else " ".join(value)
    return " ".join([*action.option_strings[-1:], *([] if action.nargs == 0 else [value])])


def _default(action: argparse.Action) -> str:
    if action.default is None or action.default is False or action.default in ("", [], argparse.SUPPRESS):
        return ""
    values = action.default if isinstance(action.default, list) else [action.default]
    return f"`{' '.join(map(str, values))}`"


def _help(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    """Return the help of an argument, without a default that has a column of its own."""
    text = (action.help or "") % {**vars(action), "prog": parser.prog}
    if _default(action):
        text = re.sub(r"\s*\(default: [^)]*\)", "", text)
    return text.replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
