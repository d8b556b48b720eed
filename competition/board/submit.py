"""Submit predictions: write them with their manifest, score them, put them on the board."""

from pathlib import Path

import numpy as np

from competition.board.views import write_leaderboard
from competition.data.challenge import Challenge, target_names, test_ids
from competition.judging.answers import has_answers
from competition.judging.manifest import Manifest, read_manifest, write_manifest
from competition.judging.record import score_submission
from competition.judging.scoring import Scored
from competition.judging.submission import write_submission


def submit(path: Path, challenge: Challenge, predictions: np.ndarray | None, manifest: Manifest) -> Manifest:
    """Write predictions (N, T) as submissions/CHALLENGE/NAME.csv, score them, and return their manifest.

    A challenge without a test set has no CSV: its manifest stands on the board with the out-of-fold score.
    """
    if challenge.test is None:
        write_manifest(path, manifest)
    else:
        assert predictions is not None
        targets = target_names(challenge.declaration)
        write_submission(path, test_ids(challenge), predictions, targets, manifest)
    publish(path, challenge)
    return read_manifest(path.with_suffix(".json"))


def publish(path: Path, challenge: Challenge) -> Scored | None:
    """Score a submission that is written, where the answers are here, and renew the board.

    None where the answers are elsewhere, or where the run collapsed and there is nothing to score.
    """
    collapsed = read_manifest(path.with_suffix(".json")).collapsed
    scored = score_submission(path, challenge) if has_answers(challenge) and not collapsed else None
    write_leaderboard(path.parents[1])
    return scored
