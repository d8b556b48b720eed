"""Every program of the kit under one name: competition PROGRAM ..."""

import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from competition.base.errors import end_process, exit_status, one_of


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program that the first argument names; without one, list them all."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage(programs()))
        return 0
    return exit_status(_run, *arguments)


def _run(name: str, *arguments: str) -> int:
    if name not in (known := programs()):
        raise one_of("program", name, list(known))
    program = importlib.import_module(f"competition.{name}")  # the one asked for: torch takes seconds
    return int(program.main(list(arguments)))


def programs() -> dict[str, str]:
    """Return the modules here that define main, and the first line of what they say of themselves."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
            found[path.stem] = (ast.get_docstring(tree) or "").splitlines()[0]
    return found


def usage(known: dict[str, str]) -> str:
    """Return the help text: a line for each program."""
    lines = [f"  {name:<12} {text}" for name, text in known.items()]
    tail = "competition PROGRAM --help says what each wants; python -m data_prep lists what makes challenges."
    return "\n".join(["usage: competition PROGRAM ...", "", *lines, "", tail])


if __name__ == "__main__":
    end_process(main())
