"""Write a blend as a submission, unless the same predictions are there already."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from competition.blending.members import Members
from competition.blending.nested import Blend
from competition.blending.recipe import Member, Recipe, make_recipe
from competition.board.board import read_board
from competition.data.challenge import Challenge, target_names, test_ids
from competition.judging.manifest import Manifest, declare
from competition.judging.submission import read_submission, write_submission
from competition.metrics.registry import score_all, score_folds

DIGITS = 1e-8  # relative: submissions of earlier versions hold nine digits


def write_blend(folder: Path, challenge: Challenge, members: Members, blend: Blend, oof: np.ndarray) -> Path:
    """Write the blend as a submission with a manifest, unless the same predictions were submitted before.

    oof (N, T) are its predictions by nested folds.
    """
    sources = [Member(each.solution, each.run, each.csv_sha256) for each in members.manifests]
    recipe = make_recipe(blend.method, blend.line, sources)
    used = [sources.index(member) for member in recipe.members]
    predictions = recipe(members.test[used])
    before = _submitted(folder, challenge, members, predictions)
    if before is not None:
        print(f"{before} holds the same predictions already: no second submission is written")
        return before
    manifest = _manifest(challenge, members, recipe, used, oof)
    path = folder / f"ensemble-{manifest.run}.csv"
    write_submission(path, test_ids(challenge), predictions, target_names(challenge.declaration), manifest)
    return path


def _submitted(folder: Path, challenge: Challenge, members: Members, predictions: np.ndarray) -> Path | None:
    """Return the member, or the ensemble submitted before, that holds these predictions (K, T)."""
    board = read_board(folder)
    ensembles = [row.manifest for row in board.rows if row.manifest.kind == "ensemble"] if board else []
    files = [
        folder / f"ensemble-{each.run}.csv" for each in ensembles if each.challenge_digest == challenge.digest
    ]
    known = [(folder / f"{name}.csv", test) for name, test in zip(members.names, members.test, strict=True)]
    known += [(path, read_submission(path, challenge)) for path in files]
    return next((path for path, other in known if np.allclose(predictions, other, rtol=DIGITS, atol=0)), None)


def _manifest(
    challenge: Challenge, members: Members, recipe: Recipe, used: Sequence[int], oof: np.ndarray
) -> Manifest:
    from competition.training.runs import command_line  # torch takes seconds

    stamp = datetime.now(UTC)
    config = recipe.to_config()
    salt = hashlib.sha256(json.dumps(config).encode()).hexdigest()[:6]
    manifests = [members.manifests[number] for number in used]
    return Manifest(
        challenge=challenge.declaration.name,
        challenge_digest=challenge.digest,
        solution="ensemble",
        run=f"{stamp:%Y%m%d-%H%M%S}-{salt}",
        created=stamp.isoformat(timespec="seconds"),
        kind="ensemble",
        train_digest=challenge.declaration.train_digest,
        declared=declare(challenge.declaration),
        command=command_line(),
        config={**config},
        oof=score_all(members.truth, oof),
        fold_scores=score_folds(members.truth, oof, members.fold),
        num_parameters=sum(each.num_parameters or 0 for each in manifests),
        train_seconds=sum(each.train_seconds or 0 for each in manifests),
        fold_digest=manifests[0].fold_digest,
        notes="out-of-fold scores are nested: each fold by the weights that the others choose",
    )
