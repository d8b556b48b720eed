"""Submit predictions: score them, write them with their manifest, put them on the board."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from competition.board.views import write_leaderboard
from competition.data.challenge import Challenge, target_names, test_ids
from competition.judging.answers import has_answers
from competition.judging.manifest import Manifest, change, read_manifest, write_manifest
from competition.judging.record import score_submission, score_table
from competition.judging.scoring import Scored
from competition.judging.submission import prepare_submission, write_submission


class Submitted(NamedTuple):
    """What was written."""

    path: Path  # the CSV; the manifest where there are no test rows
    manifest: Manifest
    scored: Scored | None  # None where the answers are elsewhere, and where the predictions collapsed


def submit(
    submissions: Path, challenge: Challenge, predictions: np.ndarray | None, manifest: Manifest
) -> Submitted:
    """Score test predictions (N, T), write submissions/CHALLENGE/SOLUTION-RUN.csv, and renew the board.

    A challenge without test rows has no predictions: its manifest is on the board with the out-of-fold score.
    """
    path = submissions / manifest.challenge / f"{manifest.solution}-{manifest.run}.csv"
    scored = None
    if predictions is None:
        path = write_manifest(path, manifest)
    else:
        names = target_names(challenge.declaration)
        submission = prepare_submission(path, test_ids(challenge), predictions, names, manifest)
        manifest = submission.manifest
        if has_answers(challenge) and not manifest.collapsed:
            scored, record = score_table(challenge, submission.frame, manifest.csv_sha256)
            manifest = change(manifest, **record)
        write_submission(submission._replace(manifest=manifest))
    write_leaderboard(submissions)
    return Submitted(path, manifest, scored)


def submit_again(path: Path, challenge: Challenge) -> Submitted:
    """Score a submission that is written already, and renew the board."""
    scored = score_submission(path, challenge) if has_answers(challenge) else None
    write_leaderboard(path.parents[1])
    return Submitted(path, read_manifest(path.with_suffix(".json")), scored)
