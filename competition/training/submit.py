"""Submit what a run predicts: the CSV and its manifest, the scores of the test rows, and the board."""

from pathlib import Path

from competition.board.views import write_leaderboard
from competition.data.challenge import Challenge, target_names, test_ids
from competition.judging.answers import has_answers
from competition.judging.manifest import Manifest, read_manifest, write_manifest
from competition.judging.record import score_submission
from competition.judging.submission import write_submission
from competition.training.cross_validation import Predictions


def submit(path: Path, opened: Challenge, predictions: Predictions, manifest: Manifest) -> Manifest:
    """Write the submission and its manifest, have it scored and renew the board.

    A challenge without a test set has no CSV; its manifest stands on the board with the out-of-fold score.
    """
    if predictions.test is None:
        manifest = write_manifest(path, manifest)
    else:
        ids, targets = test_ids(opened), target_names(opened.declaration)
        manifest = write_submission(path, ids, predictions.test, targets, manifest)
        if has_answers(opened) and not manifest.collapsed:
            score_submission(path, opened)
            manifest = read_manifest(path.with_suffix(".json"))
    write_leaderboard(path.parents[1])
    return manifest
