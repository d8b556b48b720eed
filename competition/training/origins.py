"""What the models of a run start from besides the challenge: other weights, and rows they must not see."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from competition.base.errors import InputError
from competition.data.challenge import Challenge
from competition.data.find import find_challenge
from competition.data.folds import FoldTable
from competition.data.homology import homologous_rows
from competition.training.pretrained import Pretrained, require_unseen


class Origins(NamedTuple):
    """For the record of a run, and the training rows (N,) bool that no model is trained on."""

    record: dict[str, str]
    excluded: np.ndarray | None
    pretrained: Pretrained | None

    def count(self, rows: int) -> int:
        """Return how many of the training rows are left."""
        return rows if self.excluded is None else rows - int(self.excluded.sum())


def find_origins(
    opened: Challenge, folds: FoldTable, data: Path, *, init: Path | None, exclude_homologs_of: str | None
) -> Origins:
    """Check what the models start from, and find the rows they must not see."""
    record: dict[str, str] = {}
    excluded, pretrained = None, None
    if init is not None:
        pretrained = require_unseen(init, opened, folds, data)
        record |= {"init": str(init), "init_digest": pretrained.record.source_digest}
    if exclude_homologs_of is not None:
        other = find_challenge(exclude_homologs_of, data)
        excluded = _homologous_rows(opened, other, folds)
        record |= {"exclude_homologs_of": exclude_homologs_of, "excluded_digest": other.digest}
        print(f"excluded   {excluded.sum():,} training rows, homologs of rows of {other.declaration.name}")
    return Origins(record, excluded, pretrained)


def _homologous_rows(opened: Challenge, other: Challenge, folds: FoldTable) -> np.ndarray:
    """Return the training rows (N,) bool that are homologous to a row of another challenge.

    InputError where a fold's model would have no row left.
    """
    name = other.declaration.name
    if other.digest == opened.digest:
        raise InputError(
            f"--exclude-homologs-of {name}: that is the challenge to be trained on, so no row would be left; "
            "wanted another one, on which a later run is scored"
        )
    excluded = homologous_rows(opened, other)
    if any(excluded[folds.fold != fold].all() for fold in range(folds.num_folds)):
        raise InputError(
            f"--exclude-homologs-of {name}: {excluded.sum():,} of {len(excluded):,} training rows are "
            "homologous to its rows, so a fold has none to train on; wanted a challenge that shares fewer"
        )
    return excluded
