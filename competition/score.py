"""Score a file of predictions, and enter it on the board.

Takes a submission (CSV with id and target columns), the JSON of DREAM 2022 ({"id": value}) or a table with or
without headings (id or sequence, then the value); each may be gzipped.

    python -m competition.score FILE --challenge NAME
    python -m competition.score FILE --challenge NAME --record --as TEAM

--record writes the scores into the file's manifest. Predictions from outside have none: --as makes a
submission of them, with a manifest, in the name of a team; the file itself is left as it is.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from competition.base.errors import InputError, exit_status
from competition.base.files import require_writable
from competition.base.parser import make_parser
from competition.board.score_table import score_tables
from competition.board.submit import submit
from competition.data.challenge import Challenge, target_names, test_ids
from competition.data.find import find_challenge
from competition.judging.answers import count_private_evaluation, read_answers
from competition.judging.external import digest_of, read_entry
from competition.judging.formats import read_predictions
from competition.judging.record import score_submission
from competition.judging.scoring import USAGES, Scored, match, score_with_intervals
from competition.judging.submission import align

PIPED_WIDTH = 160  # where there is no terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Score a file of predictions; a file that is refused gives the reasons and status 2."""
    parser = make_parser("competition.score", __doc__)
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
    scored = _record(options, challenge) if options.record or options.team else _score(options, challenge)
    report = scored.report
    if options.json:
        found = {"scores": report.scores, "absent": report.absent, "intervals": scored.intervals}
        several = {"targets": scored.targets} if scored.targets else {}
        print(json.dumps({**found, **several, "notes": scored.notes}, indent=2))
        return
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    title = f"{options.file} on {challenge.declaration.name}"
    console.print(*score_tables(scored, challenge.declaration.scores, title))
    for usage, reasons in report.absent.items():
        for name, reason in reasons.items():
            console.print(f"- {usage} {name} has no value: {reason}", highlight=False)
            if not report.scores[usage]:
                break  # nothing of this usage is known: once is enough
    for note in scored.notes:
        console.print(f"- {note}")


def _score(options: argparse.Namespace, challenge: Challenge) -> Scored:
    answers = read_answers(challenge)
    frame = read_predictions(options.file, challenge)
    prediction = match(answers, frame, options.usage)
    scored = score_with_intervals(answers, prediction, USAGES if options.usage == "all" else [options.usage])
    if "private" in scored.draws:
        whole = align(frame, test_ids(challenge), target_names(challenge.declaration))
        count_private_evaluation(challenge.folder, digest_of(whole, challenge))
    return scored


def _record(options: argparse.Namespace, challenge: Challenge) -> Scored:
    """Score a submission into its manifest, or make one of predictions from outside and renew the board."""
    if options.usage != "all" or not options.record:
        raise InputError(
            "a submission has all rows and all scores: wanted --record [--as TEAM] and no --usage"
        )
    require_writable(options.submissions / challenge.declaration.name, "--submissions")
    read_answers(challenge)  # nothing is written where nothing can be scored
    if options.team is None:
        _require_manifest(options.file)
        return score_submission(options.file, challenge)
    entry = read_entry(options.file, challenge, options.team, options.submissions)
    submitted = submit(options.submissions, challenge, entry.predictions, entry.manifest)
    assert submitted.scored is not None  # the answers are here
    print(f"submission {submitted.path}", file=sys.stderr if options.json else sys.stdout)
    return submitted.scored


def _require_manifest(path: Path) -> None:
    manifest = path.with_suffix(".json")
    if manifest == path or not manifest.exists():
        raise InputError(
            f"{path} has no manifest, as predictions from outside have none; "
            "--record --as TEAM enters them under the name of a team"
        )


if __name__ == "__main__":
    sys.exit(main())
