"""The label-permutation control: whether a regression predicts labels that mean nothing, across folds."""

from typing import NamedTuple

import numpy as np

from competition.auditing.features import (
    kmer_shares,
    most_rows,
    read_sequences,
    read_targets,
    sample_clusters,
)
from competition.auditing.ridge import correlation, out_of_fold
from competition.data.flanks import constant_flanks, strip
from competition.data.store import Store

CONTROL_ROWS = 20_000
FEWEST_CLUSTERS = 20
PERMUTATIONS = 20
SIGMAS = 4.0  # above chance: a clear result


class Control(NamedTuple):
    """How well labels permuted between homology clusters are predicted across folds."""

    value: float  # mean correlation of a permutation's predictions with its labels, less that of chance
    spread: float  # standard deviation of the correlation with another permutation's labels: chance
    true: float  # correlation of the same regression's predictions with the true labels
    num_clusters: int

    @property
    def sigmas(self) -> float:
        """Return how many standard errors the control is above chance."""
        return float(self.value / (self.spread / np.sqrt(PERMUTATIONS)))


def permute_between_clusters(label: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """Give every cluster (N,) the label of a random row, anew in every permutation (N, PERMUTATIONS)."""
    names, place = np.unique(cluster, return_inverse=True)
    draws = np.random.default_rng(0).integers(0, len(label), (len(names), PERMUTATIONS))
    return np.asarray(label[draws][place])


def label_permutation_control(store: Store, fold: np.ndarray, cluster: np.ndarray) -> Control | None:
    """Permute labels between homology clusters (N,), and predict them across folds from 5-mers.

    Homologous rows keep one label, so only homology between folds (N,) can predict it. Chance is the
    correlation of a permutation's predictions with the labels of the other permutations. None where there are
    too few clusters, or labels are constant.
    """
    rows = sample_clusters(cluster, most_rows(store, CONTROL_ROWS))
    num_clusters = len(np.unique(cluster[rows]))
    if num_clusters < FEWEST_CLUSTERS or len(np.unique(fold[rows])) < 2:
        return None
    truth = read_targets(store, rows)
    if truth[:, 0].min() == truth[:, 0].max():
        return None
    permuted = permute_between_clusters(truth[:, 0], cluster[rows])
    kmers = np.concatenate(
        [
            kmer_shares(*strip(*read_sequences(each, rows), *constant_flanks(each.tokens, each.lengths)))
            for each in store.sequences.values()
        ],
        axis=1,
    )
    predictions = out_of_fold(kmers, np.concatenate([truth, permuted], axis=1), fold[rows])
    num_targets = truth.shape[1]
    matrix = np.corrcoef(predictions[:, num_targets:], permuted, rowvar=False)
    matrix = matrix[:PERMUTATIONS, PERMUTATIONS:]
    off_diagonal = matrix[~np.eye(PERMUTATIONS, dtype=bool)]
    true = correlation(truth, predictions[:, :num_targets])
    value = float(np.diag(matrix).mean() - off_diagonal.mean())
    return Control(value, float(off_diagonal.std()), true, num_clusters)
