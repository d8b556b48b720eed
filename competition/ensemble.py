"""Blend submissions: weights from out-of-fold predictions alone.

    python -m competition.ensemble promoters --top 5
    python -m competition.ensemble promoters --members submissions/promoters/a.csv submissions/promoters/b.csv

Every way of weighting is scored by nested folds: the rows of a fold are blended by the weights that the other
folds choose. The gains over the best member and over the plain mean are shown with the interval of 1,000
resamples, and so are the fewest members that do as well as the best blend. Of all ways and numbers of members
the best one that is significantly better than the plain mean is taken, else the plain mean (--take chooses
another). The result is a submission like any other; `python -m competition.submission verify` makes it again.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from competition.base.errors import InputError, exit_status
from competition.base.files import require_writable
from competition.base.parser import make_parser
from competition.blending.blend import METHODS
from competition.blending.members import Members, choose_files, read_members
from competition.blending.moments import with_rank_mean
from competition.blending.nested import BlendComparison, choose, compare_blends
from competition.blending.submit import submit_blend
from competition.board.score_table import score_tables
from competition.data.find import find_challenge
from competition.judging.bootstrap import Gain

PIPED_WIDTH = 160  # where there is no terminal
SHOWN_SIZES = 12


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; a user's mistake is one line on standard error and status 2."""
    parser = make_parser("competition.ensemble", __doc__)
    add = parser.add_argument
    add("challenge")
    add("--members", type=Path, nargs="+", default=[], metavar="CSV", help="submissions to blend")
    add("--top", type=int, default=5, metavar="N", help="or the N best out of fold (default: %(default)s)")
    add("--take", choices=("auto", "smallest", *METHODS), default="auto",
        help="which blend becomes the submission (default: %(default)s)")  # fmt: skip
    add("--data", type=Path, default=Path("data"), help="folder of challenges (default: %(default)s)")
    add("--runs", type=Path, default=Path("runs"), help="folder of runs (default: %(default)s)")
    add("--submissions", type=Path, default=Path("submissions"), help="(default: %(default)s)")
    return exit_status(_run, parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> None:
    challenge = find_challenge(options.challenge, options.data)
    if not challenge.declaration.ensembles:
        raise InputError(f"{challenge.declaration.name!r} forbids ensembles")
    name = challenge.declaration.name
    require_writable(options.submissions / name, "--submissions")
    paths = choose_files(challenge, options.submissions, options.members, options.top)
    members = read_members(paths, challenge, options.runs)
    metric = challenge.declaration.primary.metric
    columns = with_rank_mean(members.oof)
    comparison = compare_blends(metric, columns, members.truth, members.fold, members.group)
    chosen = choose(comparison, options.take)
    wide = None if sys.stdout.isatty() else PIPED_WIDTH
    console = Console(markup=False, highlight=False, width=wide)
    console.print(_methods(comparison), _weights(members, comparison), _sizes(members, comparison))
    console.print(_errors(members, comparison))
    best, smallest = comparison.best, comparison.smallest
    console.print(f"smallest within noise of the best ({best.method}): {smallest.method}")
    console.print(f"taken: {chosen.method}")
    nested = comparison.scorer.predict(chosen.lines)
    path, _, scored = submit_blend(options.submissions, challenge, members, chosen, nested)
    if scored is not None:
        console.print(*score_tables(scored, challenge.declaration.scores, f"{path.stem} on {name}"))
    console.print(f"submission {path}", soft_wrap=True)


def _methods(comparison: BlendComparison) -> Table:
    names = (
        "way",
        f"{comparison.scorer.metric}, in sample",
        "nested folds",
        "over the best member",
        "over the plain mean",
    )
    table = Table(*names, box=box.SIMPLE_HEAD)
    for blend in comparison.blends:
        others = (comparison.best_single, comparison.blends[0].nested)
        gains = [_format_gain(comparison.gain(other, blend.nested)) for other in others]
        table.add_row(blend.method, f"{blend.in_sample:.4f}", f"{blend.nested.value:.4f}", *gains)
    return table


def _format_gain(gain: Gain) -> str:
    return f"{gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"


def _weights(members: Members, comparison: BlendComparison) -> Table:
    weighted = [blend for blend in comparison.blends if not blend.line.weights[-1]]
    table = Table("member", *(blend.method for blend in weighted), title="weights", box=box.SIMPLE_HEAD)
    for number, name in enumerate(members.names):
        table.add_row(name, *(f"{blend.line.weights[number]:.3f}" for blend in weighted))
    return table


def _sizes(members: Members, comparison: BlendComparison) -> Table:
    """Show what each further member brings, the mean or by least squares, whichever is better."""
    names = (
        "blend",
        "adds",
        f"nested {comparison.scorer.metric}",
        f"over {comparison.best.method}",
        "over the plain mean",
    )
    table = Table(*names, title="how many are needed", box=box.SIMPLE_HEAD)
    known = np.zeros(len(members.manifests), dtype=bool)
    for blend in comparison.growing[:SHOWN_SIZES]:
        taken = blend.line.weights[:-1] > 0
        others = (comparison.best.nested, comparison.blends[0].nested)
        gains = [_format_gain(comparison.gain(other, blend.nested)) for other in others]
        added = [name for name, new in zip(members.names, taken & ~known, strict=True) if new]
        table.add_row(blend.method, ", ".join(added) or "-", f"{blend.nested.value:.4f}", *gains)
        known |= taken
    return table


def _errors(members: Members, comparison: BlendComparison) -> Table:
    names = [manifest.solution for manifest in members.manifests]
    table = Table("", *names, title="correlation of errors", box=box.SIMPLE_HEAD)
    for name, row in zip(names, comparison.errors, strict=True):
        table.add_row(name, *(f"{value:.2f}" for value in row))
    return table


if __name__ == "__main__":
    sys.exit(main())
