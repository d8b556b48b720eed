"""Find rows with homologous sequences, in one challenge or in two."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from competition.data.challenge import Challenge
from competition.data.cores import Sequences
from competition.data.groups import Clusters, homology_clusters
from competition.data.hashing import hash_either_strand
from competition.data.store import Store


def row_clusters(stores: Sequence[Store], *, near_duplicates: bool = True) -> list[Clusters]:
    """Return for each store the clusters and hashes (N, S) of the S sequences of every row.

    Clusters are of homologous sequences, or without near_duplicates of equal ones on either strand. Those of
    all stores and names are numbered alike; each has constant flanks of its own.
    """
    stored = [each for store in stores for each in store.sequences.values()]
    if near_duplicates:
        number, own = homology_clusters([Sequences(each.tokens, each.lengths) for each in stored])
    else:
        own = np.concatenate([hash_either_strand(each.tokens, each.lengths) for each in stored])
        number = np.unique(own, return_inverse=True)[1]
    first, found = 0, []
    for store in stores:
        entries = []
        for each in store.sequences.values():
            entries.append(first + each.of(np.arange(len(store))))
            first += len(each.lengths)
        entry = np.stack(entries, axis=1)
        found.append(Clusters(number[entry], own[entry]))
    return found


class SharedClusters(NamedTuple):
    """The homology clusters of the S sequences of every row of two challenges, numbered alike."""

    source: np.ndarray  # (N, S) training rows of the first
    train: np.ndarray  # (M, S) training rows of the second
    test: np.ndarray  # (K, S) test rows of the second, none where it has no test set


def cluster_together(source: Challenge, target: Challenge) -> SharedClusters:
    """Cluster the training rows of source and all rows of target together.

    Clusters are those of the folds; of equal sequences on either strand where one of the challenges says that
    near-duplicates may be apart.
    """
    stores = [source.train, target.train, *([target.test] if target.test is not None else [])]
    both = source.declaration.near_duplicates and target.declaration.near_duplicates
    found = [each.number for each in row_clusters(stores, near_duplicates=both)]
    return SharedClusters(found[0], found[1], found[2] if len(found) > 2 else found[1][:0])


def homologous_rows(source: Challenge, target: Challenge) -> np.ndarray:
    """Return which training rows (N,) bool of source have a sequence homologous to any of target."""
    clusters = cluster_together(source, target)
    seen = np.concatenate([clusters.train.ravel(), clusters.test.ravel()])
    return np.asarray(np.isin(clusters.source, seen).any(axis=1))
