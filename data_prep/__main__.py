"""Turn raw files into challenges: python -m data_prep PREPARER ..."""

import ast
import importlib
import sys
from pathlib import Path

from competition.base.errors import exit_status, one_of
from competition.base.parser import make_parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; a user's mistake is one line on standard error and status 2."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    known = preparers()
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage(known))
        return 0
    return exit_status(_prepare, arguments[0], arguments[1:], known)


def _prepare(name: str, arguments: list[str], known: dict[str, str]) -> None:
    if name not in known:
        raise one_of("preparer", name, sorted(known))
    module = importlib.import_module(f"data_prep.{name}")
    parser = make_parser(f"data_prep {name}", module.__doc__)
    parser.add_argument("--output", type=Path, default=None, help="challenge folder (default: data/<name>)")
    parser.add_argument("--overwrite", action="store_true", help="replace a challenge that is there already")
    module.add_arguments(parser)
    options = parser.parse_args(arguments)
    module.prepare(options)


def preparers() -> dict[str, str]:
    """Return the modules here that define prepare, and the first line of their docstrings."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        if {"prepare", "add_arguments"} <= names:
            found[path.stem] = (ast.get_docstring(tree) or "").splitlines()[0]
    return found


def usage(known: dict[str, str]) -> str:
    """Return the help text: a line for each preparer."""
    lines = [f"  {name:<14} {text}" for name, text in known.items()]
    head = "usage: python -m data_prep PREPARER ...\n\nEach turns raw files into a challenge folder:\n\n"
    return head + "\n".join(lines) + "\n\npython -m data_prep PREPARER --help shows its options."


if __name__ == "__main__":
    sys.exit(main())
