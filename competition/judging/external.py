"""Enter predictions that were made elsewhere as a submission."""

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from competition.base.errors import InputError
from competition.base.files import file_digest
from competition.data.challenge import Challenge, target_names, test_ids
from competition.judging.manifest import Manifest, declare, read_manifest
from competition.judging.submission import read_submission, to_csv, write_submission

TEAM = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"  # names a file, and a row of the board


def enter(path: Path, challenge: Challenge, team: str, submissions: Path) -> Path:
    """Write predictions from outside as a submission of a team; return its CSV.

    The same predictions again are the submission that is there. InputError lists what is wrong with them.
    """
    if not re.fullmatch(TEAM, team):
        raise InputError(f"--as {team!r}: wanted letters, digits, '.', '_' and '-', a letter or digit first")
    name = challenge.declaration.name
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
        declared=declare(challenge.declaration),
        notes=f"from {path.name}, sha256 {file_digest(path)}",
    )
    written = submissions / name / f"{team}-{manifest.run}.csv"
    targets = target_names(challenge.declaration)
    write_submission(written, test_ids(challenge), predictions, targets, manifest)
    return written


def digest_of(predictions: np.ndarray, challenge: Challenge) -> str:
    """Return the sha256 that predictions (N, T) have as a submission, in whatever form they came."""
    text = to_csv(test_ids(challenge), predictions, target_names(challenge.declaration))
    return hashlib.sha256(text.encode()).hexdigest()


def _is_of(path: Path, team: str, challenge: Challenge) -> bool:
    manifest = read_manifest(path.with_suffix(".json"))
    return manifest.solution == team and manifest.challenge_digest == challenge.digest
