"""Score a file of predictions.

Takes a submission (CSV with id and target columns), the JSON of DREAM 2022 ({"id": value}) or a table with or
without headings (id or sequence, then the value); each may be gzipped.

    python -m competition.score FILE --challenge NAME
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from competition.data.built_in import find_challenge
from competition.data.challenge import Score
from competition.data.store import file_digest
from competition.errors import exit_status
from competition.judging.answers import count_look, read_answers
from competition.judging.formats import read_predictions
from competition.judging.scoring import USAGES, Judgement, judge, match, score_submission

PIPED_WIDTH = 160  # where there is no terminal


def score_table(judged: Judgement, scores: Sequence[Score], title: str) -> Table:
    """Lay out scores and their intervals as a table: a line a score, a column a usage."""
    headings = ("score", "better", *(f"{usage}, 95 %" for usage in USAGES))
    table = Table(*headings, title=title, title_justify="left", box=SIMPLE_HEAD)
    for declared in scores:
        better = "higher" if declared.direction == "maximize" else "lower"
        table.add_row(declared.name, better, *(_cell(judged, usage, declared.name) for usage in USAGES))
    return table


def _cell(judged: Judgement, usage: str, name: str) -> str:
    value = judged.report.scores[usage].get(name)
    interval = judged.intervals.get(usage, {}).get(name)
    known = "-" if value is None else f"{value:.6f}"
    return known if interval is None else f"{known} ({interval[0]:.4f} to {interval[1]:.4f})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Score a file of predictions; a file that is refused gives the reasons and status 2."""
    parser = argparse.ArgumentParser(prog="python -m competition.score", description=main.__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--challenge", metavar="NAME|PATH", help="default: the folder that the file is in")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of challenges")
    parser.add_argument("--json", action="store_true", help="print every digit, for programs")
    parser.add_argument("--record", action="store_true", help="write the scores into the file's manifest")
    return exit_status(_run, parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> None:
    challenge = find_challenge(options.challenge or options.file.resolve().parent.name, options.data)
    if options.record:
        judged = score_submission(options.file, challenge)
    else:
        answers = read_answers(challenge)
        judged = judge(answers, match(answers, read_predictions(options.file, challenge)))
        if judged.report.scores["private"]:
            count_look(challenge.folder, file_digest(options.file))
    report = judged.report
    if options.json:
        found = {**report._asdict(), "intervals": judged.intervals, "notes": judged.notes}
        print(json.dumps(found, indent=2))
        return
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    title = f"{options.file} on {challenge.challenge.name}"
    console.print(score_table(judged, challenge.challenge.scores, title))
    for usage in USAGES:
        for name, reason in report.absent[usage].items():
            console.print(f"- {usage} {name} has no value: {reason}", highlight=False)
            if not report.scores[usage]:
                break  # nothing of this usage is known: once is enough
    for note in judged.notes:
        console.print(f"- {note}")


if __name__ == "__main__":
    sys.exit(main())
