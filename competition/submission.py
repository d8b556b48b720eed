"""A submission: a CSV of test predictions and, beside it, the JSON manifest that says where it came from.

python -m competition.submission check FILE
python -m competition.submission export FILE --to dream-json --output FILE
python -m competition.submission verify FILE
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from competition.base.errors import exit_status
from competition.base.files import write_text
from competition.base.parser import make_parser
from competition.data.challenge import Challenge
from competition.data.find import find_challenge
from competition.judging.submission import (
    FORMS,
    check_submission,
    count_of,
    export,
    read_submission,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a submission, export it to another format, or verify it against its weights.

    check lists every problem and exits with 1 where there is one. verify predicts again from the weights of
    the run (of an ensemble: of its members, which it blends again) and exits with 1 where the file differs.
    """
    parser = make_parser("competition.submission", main.__doc__)
    parser.add_argument("action", choices=list(ACTIONS))
    parser.add_argument("file", type=Path)
    parser.add_argument("--challenge", metavar="NAME|PATH", help="default: the folder that the file is in")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of challenges")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs, for verify")
    parser.add_argument("--to", choices=FORMS, default=FORMS[0], help="export format (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="file to export to (default: standard output)")
    return exit_status(_act, parser.parse_args(arguments))


def _act(options: argparse.Namespace) -> int:
    name = options.challenge or options.file.resolve().parent.name
    return ACTIONS[options.action](options, find_challenge(name, options.data))


def _check(options: argparse.Namespace, challenge: Challenge) -> int:
    problems = check_submission(options.file, challenge)
    for problem in problems:
        print(f"- {problem}")
    outcome = f"refused: {count_of(len(problems), 'problem')}" if problems else "can be scored"
    print(f"{options.file}: {outcome}")
    return 1 if problems else 0


def _export(options: argparse.Namespace, challenge: Challenge) -> int:
    text = export(options.file, challenge, options.to)
    if options.output is None:
        print(text, end="")
    else:
        write_text(options.output, text)
    return 0


def _verify(options: argparse.Namespace, challenge: Challenge) -> int:
    from competition.blending.verify import verify  # torch takes seconds

    agree = True
    for verified in verify(options.file, challenge, options.runs, read_submission):
        agrees = "agrees with" if verified.ok else "DIFFERS from"
        print(f"{verified.file} {agrees} {verified.source}: largest difference {verified.difference:.3g}")
        agree &= verified.ok
    return 0 if agree else 1


ACTIONS = {"check": _check, "export": _export, "verify": _verify}


if __name__ == "__main__":
    sys.exit(main())
