"""An opened challenge: its folder, its declaration and its memory-mapped rows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from competition.base.files import file_digest
from competition.base.names import require_name
from competition.data.challenge_toml import from_toml
from competition.data.declaration import Declaration, InputSequence
from competition.data.store import Store
from competition.data.tokens import decode


class Challenge(NamedTuple):
    """A challenge folder, its declaration and its memory-mapped rows."""

    declaration: Declaration  # with a window for every sequence: the declared one, else all that is stored
    train: Store
    test: Store | None
    folder: Path
    digest: str  # sha256 of challenge.toml, which holds the digest of every public file


def open_challenge(folder: Path, *, verify: bool = True) -> Challenge:
    """Open a challenge folder; verify checks every public file against its checksum."""
    public = folder / "public"
    declaration = public / "challenge.toml"
    if not declaration.exists():
        raise InputError(f"{folder} is not a challenge: it has no public/challenge.toml")
    challenge = from_toml(declaration)
    require_name(challenge.name, f"{declaration}: name", spaced=True)  # of folders in runs and submissions
    if not challenge.files:
        raise InputError(f"{declaration} lists no files; build the challenge again")
    for name, wanted in challenge.files.items():
        path = public / name
        if not path.exists():
            raise InputError(f"{path} is missing; build the challenge again")
        if verify and (got := file_digest(path)) != wanted:
            raise InputError(
                f"{path} has changed since the challenge was built: sha256 {got[:12]}..., "
                f"wanted {wanted[:12]}...; build the challenge again"
            )
    parts = {
        part: Store(public / part, challenge.inputs, challenge.sequences)
        for part in ("train", "test")
        if part == "train" or (public / part).exists()
    }
    sequences = tuple(
        each if each.window else replace(each, window=whole_window(each, list(parts.values())))
        for each in challenge.sequences
    )
    opened = replace(challenge, sequences=sequences)
    return Challenge(opened, parts["train"], parts.get("test"), folder, file_digest(declaration))


def whole_window(declared: InputSequence, stores: Sequence[Store]) -> tuple[int, int]:
    """Return the window on all that is stored of a sequence, the same for training and test rows."""
    longest = max(store.sequences[declared.name].tokens.shape[1] for store in stores)
    return -declared.origin, longest - declared.origin


def test_ids(challenge: Challenge) -> pd.Index:
    """Return the ids that a submission must have; InputError where there is no test set."""
    if challenge.test is None:
        raise InputError(f"challenge {challenge.declaration.name!r} has no test set: nothing to submit")
    return pd.Index(challenge.test.rows["id"])


def test_sequences(challenge: Challenge) -> list[str]:
    """Return the sequence of every test row, in the order of test_ids; rows must have one."""
    assert challenge.test is not None
    stored = challenge.test.sequence
    distinct = decode(np.asarray(stored.tokens))
    return [distinct[place] for place in stored.of(np.arange(len(challenge.test)))]


def require_varying_targets(challenge: Challenge) -> None:
    """Raise InputError where a target is one value in all training rows: there is nothing to predict."""
    assert challenge.train.target is not None
    for name, values in zip(target_names(challenge.declaration), challenge.train.target.T, strict=True):
        if values.min() == values.max():
            raise InputError(
                f"target {name!r} is {values[0]:.9g} in every training row, as it is stored (in float32); "
                "wanted one that varies"
            )


def target_names(declaration: Declaration) -> list[str]:
    """Return the names of the targets, which are the columns of a submission."""
    return [target.name for target in declaration.targets]
