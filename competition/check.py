"""Check a solution against the contract, without training it."""

import argparse
import math
import sys
from pathlib import Path

from competition.base.errors import exit_status

MARKS = {True: "ok  ", False: "FAIL", None: "skip"}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; status 1 where a check fails, 2 where it cannot be made."""
    return exit_status(check, parse(argv))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m competition.check", description=__doc__)
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
    """Print a line for each check; return 0 where none fails."""
    # Imported here: torch takes seconds, and --help should not.
    from competition.contract.checks import make_checks
    from competition.data.find import find_challenge
    from competition.training.cross_validation import rows_per_fold
    from competition.training.processes import make_accelerator
    from competition.training.recipe import Recipe
    from competition.training.solution import configure, load_solution

    solution = load_solution(arguments.solution)
    device = make_accelerator(arguments.device, "no").device
    name = arguments.challenge or Recipe.of(solution.Config()).challenge
    opened = find_challenge(name, arguments.data)
    num_rows = rows_per_fold(len(opened.train))
    config, _ = configure(solution, num_rows, settings=arguments.set, tuned_for=opened.declaration.name)
    print(f"{solution.name} on {opened.declaration.name}, {device}", flush=True)
    failed = False
    for finding in make_checks(solution, opened, config, device=device, seconds=arguments.seconds):
        print(f"{MARKS[finding.ok]}  {finding.name:<16}  {finding.message}".rstrip(), flush=True)
        failed |= finding.ok is False
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
