"""Score a submission and keep the scores in its manifest."""

from pathlib import Path

import numpy as np

from competition.base.errors import InputError
from competition.base.files import file_digest
from competition.data.challenge import Challenge
from competition.judging.answers import count_private_evaluation, read_answers
from competition.judging.controls import score_controls
from competition.judging.manifest import declare, read_manifest, update_manifest
from competition.judging.scoring import Scored, match, score_with_intervals
from competition.judging.submission import read_checked
from competition.judging.uncertainty import pack


def score_submission(path: Path, challenge: Challenge) -> Scored:
    """Score a submission and write the scores into its manifest; InputError where it is refused.

    The declaration may have changed since the run (a title, a ceiling, a score), as long as the ids fit.
    """
    manifest = read_manifest(path.with_suffix(".json"))
    if manifest.csv_sha256 != file_digest(path):
        raise InputError(f"{path} is not the file that its manifest describes; submit it again")
    if manifest.challenge != challenge.declaration.name:
        raise InputError(
            f"{path} is of challenge {manifest.challenge!r}; wanted {challenge.declaration.name!r}"
        )
    answers = read_answers(challenge)
    scored = score_with_intervals(answers, match(answers, read_checked(path, challenge)))
    primary = answers.declaration.primary.name
    update_manifest(
        path,
        declared=declare(challenge.declaration),
        answers_digest=answers.digest,
        scores=scored.report.scores,
        intervals=scored.intervals,
        draws={usage: pack(each[primary][0]) for usage, each in scored.draws.items()},
        controls=score_controls(answers, np.asarray(challenge.train.target, dtype=np.float64)),
        private_evaluations=count_private_evaluation(challenge.folder, manifest.csv_sha256),
    )
    return scored
