"""Check a solution against the contract, without training it."""

import argparse
import math
import sys
from pathlib import Path

from competition.base.errors import exit_status
from competition.base.parser import make_parser

MARKS = {True: "ok  ", False: "FAIL", None: "skip"}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; status 1 where a clause fails, 2 where none can be checked."""
    return exit_status(check, parse(argv))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser("competition.check", __doc__)
    add = parser.add_argument
    add("solution", type=Path, help="a folder with a solution.py, for example solutions/crmnet")
    add("--challenge", help="name of a folder in --data, or a path; default: what the solution is built for")
    add(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="override a Config field; repeatable"
    )
    add("--device", choices=["auto", "cpu"], default="auto", help="auto takes a GPU where there is one")
    add("--seconds", type=float, default=math.inf, help="limit for overfitting 32 rows (default: none)")
    add("--data", type=Path, default=Path("data"), help="folder of challenges (default: %(default)s)")
    return parser.parse_args(argv)


def check(arguments: argparse.Namespace) -> int:
    """Print a line for each clause; return 1 where one fails."""
    # Imported here: torch takes seconds, and --help should not.
    from competition.contract.checks import check_clauses
    from competition.training.cross_validation import rows_per_fold
    from competition.training.processes import make_accelerator
    from competition.training.solution import challenge_of, configure, load_solution

    solution = load_solution(arguments.solution)
    device = make_accelerator(arguments.device, "no").device
    challenge = challenge_of(solution, arguments.challenge, arguments.data)
    num_rows = rows_per_fold(len(challenge.train))
    config, _ = configure(solution, num_rows, settings=arguments.set, tuned_for=challenge.declaration.name)
    print(f"{solution.name} on {challenge.declaration.name}, {device}", flush=True)
    failed = False
    for outcome in check_clauses(solution, challenge, config, device=device, seconds=arguments.seconds):
        mark = "warn" if outcome.passed and outcome.message else MARKS[outcome.passed]
        print(f"{mark}  {outcome.clause:<19}  {outcome.message}".rstrip(), flush=True)
        failed |= outcome.passed is False
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
