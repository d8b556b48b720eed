"""Submit a blend, unless the same predictions are there already."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from competition.base.terminal import command_line
from competition.blending.members import Members
from competition.blending.nested import Blend
from competition.blending.recipe import Member, Recipe, make_recipe
from competition.board.board import read_board
from competition.board.submit import Submitted, submit, submit_again
from competition.data.challenge import Challenge, target_names
from competition.judging.manifest import Manifest, new_manifest
from competition.judging.record import score_out_of_fold
from competition.judging.submission import read_submission

DIGITS = 1e-8  # relative: submissions of earlier versions hold nine digits


def submit_blend(
    submissions: Path, challenge: Challenge, members: Members, blend: Blend, oof: np.ndarray
) -> Submitted:
    """Submit the blend, unless the same predictions were submitted before.

    oof (N, T) are its predictions by nested folds.
    """
    sources = [Member(each.solution, each.run, each.csv_sha256) for each in members.manifests]
    recipe = make_recipe(blend.method, blend.line, sources)
    used = [sources.index(member) for member in recipe.members]
    predictions = recipe(members.test[used])
    before = _submitted(submissions / challenge.declaration.name, challenge, members, predictions)
    if before is None:
        return submit(submissions, challenge, predictions, _manifest(challenge, members, recipe, used, oof))
    print(f"{before} holds the same predictions already: no second submission is written")
    return submit_again(before, challenge)


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
    config = recipe.to_config()
    salt = hashlib.sha256(json.dumps(config).encode()).hexdigest()[:6]
    manifests = [members.manifests[number] for number in used]
    return new_manifest(
        challenge,
        solution="ensemble",
        run=f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{salt}",
        kind="ensemble",
        train_digest=challenge.declaration.train_digest,
        command=command_line(),
        config={**config},
        **score_out_of_fold(target_names(challenge.declaration), members.truth, oof, members.fold),
        num_parameters=sum(each.num_parameters or 0 for each in manifests),
        train_seconds=sum(each.train_seconds or 0 for each in manifests),
        fold_digest=manifests[0].fold_digest,
        warnings=list(dict.fromkeys(warning for each in manifests for warning in each.warnings)),
        notes="out-of-fold scores are nested: each fold by the weights that the others choose",
    )
