"""Compare two submissions on the same rows: which is better, by how much, and where they disagree.

    python -m competition.compare submissions/promoters/a.csv submissions/promoters/b.csv

The difference of every score is positive where B is better; its interval is by 1,000 resamples, the same for
both. Several targets are compared one by one as well, by the same resamples. Files may be submissions or
anything else that competition.score takes. Answers are the public ones, where there are some; comparing by
private ones (--usage private or all) counts as a private-set evaluation of each file. The truth of a private
row is never shown.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from competition.base.errors import InputError, exit_status
from competition.base.files import file_digest
from competition.base.parser import make_parser
from competition.data.challenge import Challenge, target_names
from competition.data.find import find_challenge
from competition.data.tokens import decode
from competition.judging.answers import Answers, count_private_evaluation, read_answers
from competition.judging.bootstrap import (
    bayes_factor,
    describe_tie,
    false_positive_rate,
    interval,
    significantly_better,
)
from competition.judging.formats import read_predictions
from competition.judging.scoring import USAGES, match, report_array
from competition.judging.uncertainty import known, mean_over_targets, notes, resample_targets

PIPED_WIDTH = 200  # where there is no terminal, nothing is cut
SHOWN_BASES = 60  # of a long sequence
MEASURES = ["A", "B", "gain of B", "low", "high", "Bayes factor", "better"]


def compare(answers: Answers, first: np.ndarray, second: np.ndarray, usage: str) -> pd.DataFrame:
    """Return a line a score: both values, the gain of second over first, its interval, and which is better.

    first and second are predictions (N, T) in the order of the answers. The Bayes factor says how many
    resamples are won by the better of the two for each that it loses; neither is better where the challenge's
    rule has it a tie. Lines without a target are of the mean over the targets; of several, each has lines of
    its own, by the same resamples.
    """
    reports = [report_array(answers, each, [usage]) for each in (first, second)]
    draws = resample_targets(answers, [first, second], usage)
    lines = _lines(answers, "", [each.scores[usage] for each in reports], mean_over_targets(draws))
    for number, target in enumerate(reports[0].targets):
        scores = [each.targets[target][usage] for each in reports]
        lines += _lines(answers, target, scores, {name: each[number] for name, each in draws.items()})
    return pd.DataFrame(lines, columns=["target", "score", *MEASURES])


def _lines(
    answers: Answers, target: str, scores: Sequence[Mapping[str, float]], draws: Mapping[str, np.ndarray]
) -> list[tuple[object, ...]]:
    """Return a line for each score that both have, from draws (2, R) of each score."""
    lines: list[tuple[object, ...]] = []
    for score in answers.declaration.scores:
        if score.name not in scores[0] or score.name not in scores[1]:
            continue
        sign = 1 if score.direction == "maximize" else -1
        gains = sign * (draws[score.name][1] - draws[score.name][0])
        values = [each[score.name] for each in scores]
        gain = sign * (values[1] - values[0])
        leader, lead = ("B", gains) if gain >= 0 else ("A", -gains)
        better = leader if significantly_better(lead, answers.declaration.tie_bayes_factor) else ""
        lines.append((target, score.name, *values, gain, *interval(gains), bayes_factor(lead), better))
    return lines


def disagreements(
    challenge: Challenge, answers: Answers, first: np.ndarray, second: np.ndarray, usage: str, count: int
) -> pd.DataFrame:
    """Return the rows of a usage whose predictions differ most, in spreads of A's, with the public truth."""
    public = answers.subsets["all"].public
    mine = np.flatnonzero((public == (usage == "public")) | (usage == "all"))
    spread = np.nanstd(first, axis=0)
    gap = np.nan_to_num(np.abs(second - first) / np.where(spread > 0, spread, 1))
    rows = mine[np.argsort(-gap[mine].max(axis=1), kind="stable")][:count]
    target = gap[rows].argmax(axis=1)
    frame = {"A": first[rows, target], "B": second[rows, target]}
    if usage != "private":
        frame["truth"] = np.where(public[rows], answers.truth[rows, target], np.nan)
    names = np.array(target_names(answers.declaration))[target]
    return pd.DataFrame(
        {"id": answers.ids[rows], "target": names, **frame, **_sequences(challenge, answers.ids[rows])}
    )


def _sequences(challenge: Challenge, ids: pd.Index) -> dict[str, list[str]]:
    """Return the sequences of some test rows by name, long ones cut."""
    assert challenge.test is not None
    place = pd.Index(challenge.test.rows["id"]).get_indexer(ids)
    return {
        name: [
            text if len(text) <= SHOWN_BASES else f"{text[:SHOWN_BASES]}..."
            for text in decode(np.asarray(stored.tokens[stored.of(place)]))
        ]
        for name, stored in challenge.test.sequences.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; a user's mistake is one line on standard error and status 2."""
    parser = make_parser("competition.compare", __doc__)
    add = parser.add_argument
    add("first", type=Path, metavar="A")
    add("second", type=Path, metavar="B")
    add("--challenge", metavar="NAME|PATH", help="default: the folder that A is in")
    add("--usage", choices=USAGES, help="which answers (default: public where there are some, else private)")
    add("--rows", type=int, default=10, help="rows to show where they disagree most (default: %(default)s)")
    add("--data", type=Path, default=Path("data"), help="folder of challenges (default: %(default)s)")
    return exit_status(_run, parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> None:
    challenge = find_challenge(options.challenge or options.first.resolve().parent.name, options.data)
    answers = read_answers(challenge)
    paths = (options.first, options.second)
    has = {each: known(answers, answers.subsets["all"], each).any() for each in ("public", "private")}
    usage = options.usage or ("public" if has["public"] else "private")
    first, second = (match(answers, read_predictions(path, challenge), usage) for path in paths)
    lines = compare(answers, first, second, usage)
    if lines.empty:
        raise InputError(f"--usage {usage}: no answer of it is known; wanted another usage")
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    console.print(f"A  {options.first}")
    console.print(f"B  {options.second}")
    console.print(f"{challenge.declaration.name}, {usage} answers")
    if usage != "public" and has["private"]:
        evaluations = max([count_private_evaluation(challenge.folder, file_digest(path)) for path in paths])
        console.print(f"counted as private-set evaluations: {evaluations:,} so far")
    _print_means(console, lines[lines["target"] == ""], answers, usage)
    _print_targets(console, lines[lines["target"] != ""], answers)
    console.print(_rows(disagreements(challenge, answers, first, second, usage, options.rows)))


def _print_means(console: Console, lines: pd.DataFrame, answers: Answers, usage: str) -> None:
    """Print a line a score, and which of the two is better by the first."""
    console.print(_gains(lines, by="score"))
    for note in notes(answers, usage):
        console.print(f"- {note}")
    for primary in lines.to_dict("records")[:1]:
        better = {"A": "A is better than B", "B": "B is better than A"}
        result = better.get(primary["better"], "neither is significantly better")
        tie = describe_tie(answers.declaration.tie_bayes_factor)
        console.print(f"{primary['score']}: {result} (a tie is where {tie})")


def _print_targets(console: Console, lines: pd.DataFrame, answers: Answers) -> None:
    """Print a line for each of several targets by the score that ranks, and on how many each is better."""
    score, rule = answers.declaration.primary.name, answers.declaration.tie_bayes_factor
    lines = lines[lines["score"] == score]
    if lines.empty:
        return
    console.print(_gains(lines, by="target"))
    count, better = len(lines), lines["better"].value_counts()
    chance = count * false_positive_rate(rule)
    console.print(
        f"{score}, target by target: A is better on {better.get('A', 0)} of {count} and B on "
        f"{better.get('B', 0)}; chance alone gives about {chance:.2g}"
    )


def _gains(lines: pd.DataFrame, *, by: str) -> Table:
    """Lay out a line a score or a target."""
    headings = (by, "A", "B", "gain of B", "95 %", "Bayes factor", "better")
    table = Table(*headings, box=box.SIMPLE_HEAD)
    for line in lines[[by, *MEASURES]].itertuples(index=False):
        name, *values, gain, low, high, factor, better = line
        numbers = (f"{gain:+.4f}", f"{low:+.4f} to {high:+.4f}", f"{factor:.3g}")
        table.add_row(name, *(f"{value:.4f}" for value in values), *numbers, better or "-")
    return table


def _rows(rows: pd.DataFrame) -> Table:
    table = Table(*rows.columns, title="where they disagree most", title_justify="left", box=box.SIMPLE_HEAD)
    for row in rows.itertuples(index=False):
        table.add_row(*map(_cell, row))
    return table


def _cell(value: str | float) -> str:
    return str(value) if not isinstance(value, float) else "-" if np.isnan(value) else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(main())
