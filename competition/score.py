"""Score a file of predictions.

Takes a submission (CSV with id and target columns), the JSON of DREAM 2022 ({"id": value}) or a table
without a header (id or sequence, then the value); each may be gzipped.

    python -m competition.score FILE --challenge NAME
"""

import argparse
import gzip
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from competition.data.built_in import find_challenge
from competition.data.challenge import OpenChallenge, Score
from competition.data.store import file_digest
from competition.data.tokens import decode
from competition.errors import InputError, exit_status
from competition.judging.answers import count_look, read_answers
from competition.judging.scoring import USAGES, Judgement, judge, match, score_submission
from competition.submission import NUMBER, read_table, target_names, test_ids

PIPED_WIDTH = 160  # where there is no terminal


def read_predictions(path: Path, challenge: OpenChallenge) -> pd.DataFrame:
    """Read predictions in any of the known forms as a table of id and target columns, as text or numbers."""
    targets = target_names(challenge.challenge)
    if path.name.removesuffix(".gz").endswith(".json"):
        return _read_json(path, targets)
    first = _first_line(path)
    separator = "\t" if "\t" in first else ","
    cells = first.lstrip("\ufeff").split(separator)
    if "id" in cells or not re.fullmatch(f"{NUMBER}|nan", cells[-1]):
        return _rename_only_column(read_table(path, sep=separator), targets)
    table = read_table(path, sep=separator, has_header=False)
    if table.shape[1] != 1 + len(targets):
        raise InputError(f"{path} has {table.shape[1]} columns; wanted an id and {', '.join(targets)}")
    table.columns = pd.Index(["id", *targets])
    if (test_ids(challenge).get_indexer(table["id"]) >= 0).any():
        return table
    return _by_sequence(table, challenge, path)


def _read_json(path: Path, targets: Sequence[str]) -> pd.DataFrame:
    try:
        with _open(path) as file:
            pairs = json.load(file, object_pairs_hook=list)  # a dict would hide an id that comes twice
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path} is not JSON: {error}") from None
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        raise InputError(f'{path} is not of the form {{"id": value, ...}}')
    rows = [value if isinstance(value, list) else [value] for _, value in pairs]
    if any(len(row) != len(targets) for row in rows):
        raise InputError(f"{path}: wanted {len(targets)} values an id ({', '.join(targets)})")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(targets)}
    return pd.DataFrame({"id": [key for key, _ in pairs], **columns})


def _open(path: Path) -> Any:
    try:
        return gzip.open(path, "rt") if path.suffix == ".gz" else path.open(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def _first_line(path: Path) -> str:
    try:
        with _open(path) as file:
            return str(file.readline()).rstrip("\r\n")
    except (UnicodeDecodeError, OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read as text: {error}") from None


def _rename_only_column(table: pd.DataFrame, targets: Sequence[str]) -> pd.DataFrame:
    """Accept any heading over the values of a single target, as long as the ids are called id."""
    others = [name for name in table.columns if name != "id"]
    if len(targets) == len(others) == 1 and len(table.columns) == 2:
        return table.rename(columns={others[0]: targets[0]})
    return table


def _by_sequence(table: pd.DataFrame, challenge: OpenChallenge, path: Path) -> pd.DataFrame:
    """Give each test row the values that stand beside its sequence."""
    assert challenge.test is not None
    sequences = np.array(decode(np.asarray(challenge.test.tokens)), dtype=object)
    rows = np.arange(len(challenge.test))
    known = pd.DataFrame(
        {"row": test_ids(challenge), "sequence": sequences[challenge.test.sequence_of(rows)]}
    )
    table = table.rename(columns={"id": "sequence"}).assign(sequence=table["id"].str.upper())
    found = pd.Index(known["sequence"].unique()).get_indexer(table["sequence"]) >= 0
    strange = table["sequence"][~found]
    if len(strange):
        raise InputError(
            f"{path}: {len(strange):,} first columns are neither an id nor a sequence of the test set "
            f"(such as {strange.iloc[0][:40]!r})"
        )
    return known.merge(table, on="sequence").rename(columns={"row": "id"}).drop(columns="sequence")


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
