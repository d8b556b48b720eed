"""Enter predictions that were made elsewhere as a submission."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from competition.base.files import file_digest
from competition.base.names import require_name
from competition.data.challenge import Challenge, target_names, test_ids
from competition.data.leaks import test_leaks
from competition.judging.manifest import Manifest, new_manifest, read_manifest
from competition.judging.submission import read_submission, to_csv


class Entry(NamedTuple):
    """What a team submits."""

    predictions: np.ndarray  # (N, T)
    manifest: Manifest


def read_entry(path: Path, challenge: Challenge, team: str, submissions: Path) -> Entry:
    """Read predictions from outside as a submission of a team.

    What the team has entered before is not entered again. InputError lists what is wrong with predictions.
    """
    require_name(team, "--as")
    name = challenge.declaration.name
    predictions = read_submission(path, challenge)
    digest = digest_of(predictions, challenge)
    for there in sorted((submissions / name).glob(f"{team}-*.csv")):
        if file_digest(there) == digest and _is_of(there, team, challenge):
            return Entry(predictions, read_manifest(there.with_suffix(".json")))
    run = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{digest[:6]}"
    notes = f"from {path.name}, sha256 {file_digest(path)}"
    warnings = test_leaks(challenge)
    return Entry(predictions, new_manifest(challenge, solution=team, run=run, notes=notes, warnings=warnings))


def digest_of(predictions: np.ndarray, challenge: Challenge) -> str:
    """Return the sha256 that predictions (N, T) have as a submission, in whatever form they came."""
    text = to_csv(test_ids(challenge), predictions, target_names(challenge.declaration))
    return hashlib.sha256(text.encode()).hexdigest()


def _is_of(path: Path, team: str, challenge: Challenge) -> bool:
    manifest = read_manifest(path.with_suffix(".json"))
    return manifest.solution == team and manifest.challenge_digest == challenge.digest
