"""Tune a solution: search its space by cross-validation, and keep the best trial if a hold-out confirms it.

The training rows are split into one part more than there are folds. The last part is the hold-out: no trial
sees it. Trials are cross-validated on the other parts, the defaults first. At the end the defaults and the
best trial are trained on all search folds and predict the hold-out. Where the 95 % interval of the gain
(paired bootstrap) lies above zero, the best trial is written to tuned.toml in the solution's folder, for this
challenge. The same command resumes an interrupted search.
"""

import argparse
import sys
from pathlib import Path

from competition.base.errors import InputError, exit_status, resumable
from competition.base.files import require_writable
from competition.base.parser import make_parser, whole_number
from competition.base.terminal import command_line


def main(argv: list[str] | None = None) -> int:
    """Run the command line; a user's mistake is one line on standard error and status 2."""
    return exit_status(tune, parse(argv))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser("competition.tune", __doc__)
    add = parser.add_argument
    add("solution", type=Path, help="a folder with a solution.py whose Config has a search")
    add(
        "--trials", type=int, default=20, help="trials in total, the defaults included (default: %(default)s)"
    )
    add("--challenge", help="default: what the solution is built for")
    add("--folds", type=int,
        help="folds of the search (default: 4, or one fewer than the rows declare)")  # fmt: skip
    add("--ignore-folds", action="store_true", help="assign folds even where the rows declare them")
    add("--seed", type=whole_number(0), default=0, help="seed of every random draw (default: %(default)s)")
    add("--set", action="append", default=[], metavar="NAME=VALUE",
        help="fix a Config field in every trial; repeatable")  # fmt: skip
    add("--storage", help="an Optuna storage URL (default: a journal in the runs folder)")
    add("--device", choices=["auto", "cpu"], default="auto", help="auto takes the GPUs there are")
    add("--precision", choices=["auto", "no", "bf16", "fp16"], default="auto",
        help="auto: bf16 where it is fast")  # fmt: skip
    add("--data", type=Path, default=Path("data"), help="folder of challenges (default: %(default)s)")
    add("--runs", type=Path, default=Path("runs"), help="folder of runs (default: %(default)s)")
    return parser.parse_args(argv)


def tune(arguments: argparse.Namespace) -> None:
    """Search, then compare the best trial with the defaults on the hold-out and keep a significant gain."""
    # Imported here: torch and optuna take seconds, and --help should not.
    from competition.training.processes import make_accelerator
    from competition.tuning.hold_out import compare_on_hold_out
    from competition.tuning.search import search
    from competition.tuning.study import open_study
    from competition.tuning.task import load_tunable, prepare

    solution = load_tunable(arguments.solution)
    if arguments.trials < 1:
        raise InputError(f"--trials {arguments.trials}: wanted at least 1")
    accelerator = make_accelerator(arguments.device, arguments.precision)
    task = prepare(
        solution, accelerator, arguments.challenge, num_folds=arguments.folds, seed=arguments.seed,
        settings=arguments.set, data=arguments.data, runs=arguments.runs, ignore_folds=arguments.ignore_folds,
    )  # fmt: skip
    require_writable(task.folder, "--runs")
    with resumable(command_line()), open_study(task, arguments.storage) as study:
        changes = search(task, study, arguments.trials)
        if changes is not None:
            compare_on_hold_out(task, study, changes)


if __name__ == "__main__":
    sys.exit(main())
