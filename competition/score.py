"""Score a file of predictions, and enter it on the board.

Takes a submission (CSV with id and target columns), the JSON of DREAM 2022 ({"id": value}) or a table with or
without headings (id or sequence, then the value); each may be gzipped.

    python -m competition.score FILE --challenge NAME
    python -m competition.score FILE --challenge NAME --record --as TEAM

--record writes the scores into the file's manifest. Predictions from outside have none: --as makes a
submission of them, with a manifest, in the name of a team; the file itself is left as it is.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from competition.data.built_in import find_challenge
from competition.data.challenge import OpenChallenge, Score
from competition.data.store import file_digest
from competition.errors import InputError, exit_status
from competition.judging.answers import count_look, read_answers
from competition.judging.formats import read_predictions, target_names, test_ids
from competition.judging.manifest import Manifest, declare, read_manifest
from competition.judging.scoring import USAGES, Judgement, judge, match, score_submission
from competition.judging.views import write_leaderboard
from competition.submission import align, read_submission, to_csv, write_submission

PIPED_WIDTH = 160  # where there is no terminal
TEAM = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"  # names a file, and a row of the board


def enter(path: Path, challenge: OpenChallenge, team: str, submissions: Path) -> Path:
    """Write predictions from outside as a submission of a team; return its CSV.

    The same predictions again are the submission that is there. InputError lists what is wrong with them.
    """
    if not re.fullmatch(TEAM, team):
        raise InputError(f"--as {team!r}: wanted letters, digits, '.', '_' and '-', a letter or digit first")
    name = challenge.challenge.name
    predictions = read_submission(path, challenge)
    digest = digest_of(predictions, challenge)
    for there in sorted((submissions / name).glob(f"{team}-*.csv")):
        if file_digest(there) == digest and _is_of(there, team, challenge):
            return there
    stamp = datetime.now(UTC)
    manifest = Manifest(
        challenge=name,
        challenge_digest=challenge.digest,
        solution=team,
        run=f"{stamp:%Y%m%d-%H%M%S}-{digest[:6]}",
        created=stamp.isoformat(timespec="seconds"),
        declared=declare(challenge.challenge),
        notes=f"from {path.name}, sha256 {file_digest(path)}",
    )
    written = submissions / name / f"{team}-{manifest.run}.csv"
    targets = target_names(challenge.challenge)
    write_submission(written, test_ids(challenge), predictions, targets, manifest)
    return written


def digest_of(predictions: np.ndarray, challenge: OpenChallenge) -> str:
    """Return the sha256 that predictions (N, T) have as a submission, in whatever form they came."""
    text = to_csv(test_ids(challenge), predictions, target_names(challenge.challenge))
    return hashlib.sha256(text.encode()).hexdigest()


def _is_of(path: Path, team: str, challenge: OpenChallenge) -> bool:
    manifest = read_manifest(path.with_suffix(".json"))
    return manifest.solution == team and manifest.challenge_digest == challenge.digest


def score_table(judged: Judgement, scores: Sequence[Score], title: str) -> Table:
    """Lay out scores and their intervals as a table: a line a score, a column a usage."""
    usages = list(judged.report.scores)
    headings = ("score", "better", *(f"{usage}, 95 %" for usage in usages))
    table = Table(*headings, title=title, title_justify="left", box=SIMPLE_HEAD)
    for declared in scores:
        better = "higher" if declared.direction == "maximize" else "lower"
        table.add_row(declared.name, better, *(_cell(judged, usage, declared.name) for usage in usages))
    return table


def _cell(judged: Judgement, usage: str, name: str) -> str:
    value = judged.report.scores[usage].get(name)
    interval = judged.intervals.get(usage, {}).get(name)
    known = "-" if value is None else f"{value:.6f}"
    return known if interval is None else f"{known} ({interval[0]:.4f} to {interval[1]:.4f})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Score a file of predictions; a file that is refused gives the reasons and status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m competition.score",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("file", type=Path)
    add("--challenge", metavar="NAME|PATH", help="default: the folder that the file is in")
    add("--usage", choices=USAGES, default="all",
        help="score one part of the answers; rows of the other may be missing (default: both)")  # fmt: skip
    add("--record", action="store_true", help="write the scores into the file's manifest")
    add("--as", dest="team", metavar="TEAM", help="with --record: enter the predictions under this name")
    add("--json", action="store_true", help="print every digit, for programs")
    add("--data", type=Path, default=Path("data"), help="folder of challenges (default: %(default)s)")
    add("--submissions", type=Path, default=Path("submissions"), help="(default: %(default)s)")
    return exit_status(_run, parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> None:
    challenge = find_challenge(options.challenge or options.file.resolve().parent.name, options.data)
    judged = _record(options, challenge) if options.record or options.team else _score(options, challenge)
    report = judged.report
    if options.json:
        found = {**report._asdict(), "intervals": judged.intervals, "notes": judged.notes}
        print(json.dumps(found, indent=2))
        return
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    title = f"{options.file} on {challenge.challenge.name}"
    console.print(score_table(judged, challenge.challenge.scores, title))
    for usage, reasons in report.absent.items():
        for name, reason in reasons.items():
            console.print(f"- {usage} {name} has no value: {reason}", highlight=False)
            if not report.scores[usage]:
                break  # nothing of this usage is known: once is enough
    for note in judged.notes:
        console.print(f"- {note}")


def _score(options: argparse.Namespace, challenge: OpenChallenge) -> Judgement:
    answers = read_answers(challenge)
    frame = read_predictions(options.file, challenge)
    prediction = match(answers, frame, options.usage)
    judged = judge(answers, prediction, USAGES if options.usage == "all" else [options.usage])
    if judged.report.scores.get("private"):
        whole = align(frame, test_ids(challenge), target_names(challenge.challenge))
        count_look(challenge.folder, digest_of(whole, challenge))
    return judged


def _record(options: argparse.Namespace, challenge: OpenChallenge) -> Judgement:
    """Score a submission into its manifest, or make one of predictions from outside and renew the board."""
    if options.usage != "all" or not options.record:
        raise InputError(
            "a submission has all rows and all scores: wanted --record [--as TEAM] and no --usage"
        )
    read_answers(challenge)  # nothing is written where nothing can be scored
    if options.team is None:
        _require_manifest(options.file)
        return score_submission(options.file, challenge)
    path = enter(options.file, challenge, options.team, options.submissions)
    judged = score_submission(path, challenge)
    write_leaderboard(options.submissions)
    print(f"submission {path}", file=sys.stderr if options.json else sys.stdout)
    return judged


def _require_manifest(path: Path) -> None:
    manifest = path.with_suffix(".json")
    if manifest == path or not manifest.exists():
        raise InputError(
            f"{path} has no manifest, as predictions from outside have none; "
            "--record --as TEAM enters them under the name of a team"
        )


if __name__ == "__main__":
    sys.exit(main())
