"""Find the rows of one challenge that are homologous to rows of another."""

from typing import NamedTuple

import numpy as np

from competition.data.challenge import Challenge
from competition.data.cores import Sequences
from competition.data.groups import homology_clusters
from competition.data.hashing import hash_either_strand


class Families(NamedTuple):
    """The homology cluster of every row of two challenges, numbered alike."""

    source: np.ndarray  # (N,) training rows of the first
    train: np.ndarray  # (M,) training rows of the second
    test: np.ndarray  # (K,) test rows of the second, none where it has no test set


def find_families(source: Challenge, target: Challenge) -> Families:
    """Cluster the training rows of source and all rows of target together.

    Clusters are those of the folds; of equal sequences on either strand where one of the challenges says that
    near-duplicates may be apart.
    """
    stores = [source.train, target.train, *([target.test] if target.test is not None else [])]
    sequences = [Sequences(store.tokens, store.lengths) for store in stores]
    if source.declaration.near_duplicates and target.declaration.near_duplicates:
        family = homology_clusters(sequences).number
    else:
        hashes = [hash_either_strand(store.tokens, store.lengths) for store in stores]
        _, family = np.unique(np.concatenate(hashes), return_inverse=True)
    parts, first = [], 0
    for store in stores:
        parts.append(family[first + store.sequence_of(np.arange(len(store)))])
        first += len(store.lengths)
    test = parts[2] if len(parts) > 2 else np.empty(0, dtype=np.int64)
    return Families(parts[0], parts[1], test)


def homologous_rows(source: Challenge, target: Challenge) -> np.ndarray:
    """Return which training rows (N,) bool of source are homologous to any row of target."""
    families = find_families(source, target)
    return np.isin(families.source, np.concatenate([families.train, families.test]))
