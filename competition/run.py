"""Cross-validate a solution on a challenge and submit its predictions."""

import argparse
from pathlib import Path

from competition.base.errors import end_process, exit_status
from competition.base.names import require_name
from competition.base.parser import make_parser, whole_number


def main(argv: list[str] | None = None) -> int:
    """Run the command line; a user's mistake is one line on standard error and status 2."""
    return exit_status(run, parse(argv))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = make_parser("competition.run", __doc__)
    add = parser.add_argument
    add("solution", type=Path, help="a folder with a solution.py, for example solutions/crmnet")
    add("--challenge", help="name of a folder in --data, or a path; default: what the solution is built for")
    add("--folds", type=int, help="number of folds (default: 4, or as many as the rows declare)")
    add("--ignore-folds", action="store_true", help="assign folds even where the rows declare them")
    add("--seed", type=whole_number(0), default=0, help="seed of every random draw (default: %(default)s)")
    add("--set", action="append", default=[], metavar="NAME=VALUE",
        help="override a Config field; repeatable")  # fmt: skip
    add("--published", action="store_true",
        help="use the published recipe for any number of rows")  # fmt: skip
    add("--resume", nargs="?", const="", metavar="RUN",
        help="continue RUN, or the newest unfinished run of the same command")  # fmt: skip
    add("--run-id", help="name of the run folder (default: date, time and a hash)")
    add("--init", type=Path, metavar="RUN", help="start each fold from the weights of this run's same fold")
    add("--exclude-homologs-of", metavar="CHALLENGE",
        help="train on no homolog of any row of this challenge, on which a later run is scored")  # fmt: skip
    add("--device", choices=["auto", "cpu"], default="auto", help="auto takes the GPUs there are")
    add("--precision", choices=["auto", "no", "bf16", "fp16"], default="auto",
        help="auto: bf16 where it is fast")  # fmt: skip
    add("--save-seconds", type=float, default=60, help="time between two saved states (default: %(default)s)")
    add("--no-check", action="store_true", help="skip the check of the solution's contract")
    add("--data", type=Path, default=Path("data"), help="folder of challenges (default: %(default)s)")
    add("--runs", type=Path, default=Path("runs"), help="folder of runs (default: %(default)s)")
    add("--submissions", type=Path, default=Path("submissions"), help="(default: %(default)s)")
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace) -> None:
    """Train the folds, predict, submit, score and show: the whole program, in order."""
    # Imported here: torch takes seconds, and --help should not.
    from competition.board.board import read_boards
    from competition.board.show import show_boards
    from competition.board.submit import submit
    from competition.contract.checks import require_contract
    from competition.data.folds import fold_table
    from competition.data.leaks import leaks
    from competition.training import report
    from competition.training.cross_validation import cross_validate, rows_per_fold, write_oof
    from competition.training.job import Job
    from competition.training.origins import find_origins
    from competition.training.processes import make_accelerator, on_main
    from competition.training.ready import require_ready
    from competition.training.record import finish
    from competition.training.runs import make_record, open_run
    from competition.training.solution import challenge_of, configure, load_solution
    from competition.training.transfer import plan_transfer

    for option, name in (("--run-id", arguments.run_id), ("--resume", arguments.resume)):
        if name:
            require_name(name, option)
    solution = load_solution(arguments.solution)
    accelerator = make_accelerator(arguments.device, arguments.precision)
    with accelerator.main_process_first():
        opened = challenge_of(solution, arguments.challenge, arguments.data)
        folds = fold_table(
            opened.train, opened.declaration, arguments.folds,
            ignore_declared=arguments.ignore_folds, cache=opened.folder / "cache",
        )  # fmt: skip
        warnings = leaks(opened, folds)
        origins = find_origins(
            opened, folds, arguments.data,
            init=arguments.init, exclude_homologs_of=arguments.exclude_homologs_of,
        )  # fmt: skip
    config, changes = configure(
        solution, rows_per_fold(origins.count(len(opened.train)), folds.num_folds),
        settings=arguments.set, published=arguments.published, tuned_for=opened.declaration.name,
    )  # fmt: skip
    require_ready(opened, solution, arguments.runs, arguments.submissions)
    if not arguments.no_check:
        on_main(accelerator, lambda: require_contract(solution, opened, config, device=accelerator.device))
    transfer = plan_transfer(origins.pretrained, solution, config, opened)
    record = make_record(
        solution, opened, config, accelerator,
        folds=folds, seed=arguments.seed, warnings=warnings, origins=origins,
        ignore_folds=arguments.ignore_folds,
    )  # fmt: skip
    asked = {"resume": arguments.resume, "run_id": arguments.run_id}
    with open_run(arguments.runs, record, solution, accelerator, **asked) as folder:
        job = Job(
            solution, opened, config, folds, folder, arguments.seed, accelerator, arguments.save_seconds,
            transfer=transfer, excluded=origins.excluded,
        )  # fmt: skip
        if accelerator.is_main_process:
            report.announce(job, record, changes)
        predictions = cross_validate(job)
        if accelerator.is_main_process:
            manifest = report.make_manifest(job, record, predictions)
            files = {"run": folder, "out-of-fold": write_oof(job, predictions)}
            submitted = submit(arguments.submissions, opened, predictions.test, manifest)
            finish(folder, submitted.path)
            report.show(submitted.manifest, predictions, files | {"submission": submitted.path})
            show_boards(read_boards(arguments.submissions, opened.declaration.name))
    accelerator.end_training()


if __name__ == "__main__":
    end_process(main())
