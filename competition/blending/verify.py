"""Verify a submission: predict it again from the weights of its run, or of the runs of its members."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from competition.base.errors import InputError
from competition.base.files import file_digest
from competition.blending.recipe import read_recipe
from competition.data.challenge import Challenge
from competition.judging.manifest import read_manifest
from competition.training.verify import Verification, compare, verify_run


def verify(
    path: Path, challenge: Challenge, runs: Path, read: Callable[[Path, Challenge], np.ndarray]
) -> Iterator[Verification]:
    """Compare a submission with what the weights and the source that its run kept predict.

    Of an ensemble each member is compared so, and last the file with the blend of the members' files, which
    read turns into predictions (N, T). Raises InputError where a run or a member is not here, or is not what
    the manifest names.
    """
    manifest = read_manifest(path.with_suffix(".json"))
    if file_digest(path) != manifest.csv_sha256:
        raise InputError(f"{path} is not the file that its manifest describes")
    submitted = read(path, challenge)
    if manifest.kind != "ensemble":
        yield verify_run(path, submitted, manifest, challenge, runs)
        return
    recipe = read_recipe(manifest.config, path.name)
    members = [path.with_name(f"{member.name}.csv") for member in recipe.members]
    for member, wanted in zip(members, recipe.members, strict=True):
        if not member.exists():
            raise InputError(f"{member} is not here; wanted every member of {path.name}")
        if file_digest(member) != wanted.csv_sha256:
            raise InputError(f"{member} is not the member that {path.name} was made of (sha256 differs)")
        yield from verify(member, challenge, runs, read)
    again = recipe(np.stack([read(member, challenge) for member in members]))
    yield compare(path, f"the blend of its {len(members)} members", again, submitted)
