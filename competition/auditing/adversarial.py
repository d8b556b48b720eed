"""Adversarial validation: whether a regression distinguishes test rows, or others, from the rest."""

from typing import NamedTuple

import numpy as np

from competition.auditing.features import (
    bins,
    gc_content,
    kmer_shares,
    most_rows,
    read_sequences,
    sample_clusters,
)
from competition.auditing.permutation import SIGMAS, permute_between_clusters
from competition.auditing.ridge import out_of_fold
from competition.data.hashing import mix, scale
from competition.data.store import Store
from competition.data.tokens import LETTERS, PAD
from competition.metrics.auroc import auroc

SIDE_ROWS = 10_000  # read of either side
ENDS = 40  # bases at either end that are read one by one
FEW_POSITIONS = 8  # that distinguish rows alone are a barcode; a shift in composition takes more
CLEAR = 0.5  # total variation distance of the bases at a position that is worth naming
COVERED = 0.99  # of the rows of either side have a base at a position of a barcode
FOLDS = 4
FEWEST_CLUSTERS = 10  # of either side; fewer say nothing about others
DISTINGUISHABLE = 0.7  # AUROC


class Traits(NamedTuple):
    """What is known of the sequences of rows (N, ...)."""

    ends: np.ndarray  # (N, 2 * ENDS, 4) one-hot bases at both ends
    kmers: np.ndarray  # (N, 1024) share of each 5-mer
    length: np.ndarray  # (N,)
    gc: np.ndarray  # (N,)
    cluster: np.ndarray  # (N,)
    label: np.ndarray  # (N,) what is to be distinguished


class Barcode(NamedTuple):
    """How well few positions distinguish rows from the others."""

    auroc: float
    positions: tuple[str, ...]  # described, the most different first


class Distinction(NamedTuple):
    """How well all traits distinguish rows from the others."""

    auroc: float
    chance: float  # mean AUROC of labels permuted between clusters
    spread: float  # its standard deviation

    @property
    def is_clear(self) -> bool:
        """Return whether the rows are distinguishable, and not by chance."""
        return self.auroc >= DISTINGUISHABLE and self.auroc > self.chance + SIGMAS * self.spread


def read_traits(store: Store, name: str, cluster: np.ndarray, label: np.ndarray) -> Traits:
    """Read a sequence's traits of rows, or of a sample of whole clusters (N,); label (N,) goes with them."""
    rows = sample_clusters(cluster, most_rows(store, SIDE_ROWS))
    tokens, lengths = read_sequences(store.sequences[name], rows)
    kmers = kmer_shares(tokens, lengths)
    return Traits(_ends(tokens, lengths), kmers, lengths, gc_content(tokens), cluster[rows], label[rows])


def _ends(tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return one-hot bases (N, 2 * ENDS, 4) of both ends; in short sequences no base comes twice."""
    column = np.arange(ENDS)
    last = lengths[:, None] - ENDS + column
    place = np.concatenate([np.broadcast_to(column, last.shape), np.where(last < ENDS, -1, last)], axis=1)
    inside = (place >= 0) & (place < lengths[:, None])
    letters = np.take_along_axis(tokens, place.clip(0, tokens.shape[1] - 1), axis=1)
    return np.asarray(np.eye(PAD + 1, 4, dtype=np.float32)[np.where(inside, letters, PAD)])


def concatenate(one: Traits, other: Traits) -> Traits:
    """Return the traits of the rows of both."""
    return Traits(*(np.concatenate(pair) for pair in zip(one, other, strict=True)))


def enough_clusters(cluster: np.ndarray, chosen: np.ndarray) -> bool:
    """Return whether the chosen rows (N,) bool and the others are of enough clusters (N,) each."""
    return min(len(np.unique(cluster[rows])) for rows in (chosen, ~chosen)) >= FEWEST_CLUSTERS


def find_barcode(traits: Traits, chosen: np.ndarray) -> Barcode:
    """Distinguish the chosen rows (N,) bool by the few positions whose bases differ most, across clusters."""
    truth, prediction = chosen.astype(np.float64), np.empty(len(chosen))
    folds = _folds(traits)
    covered = np.minimum(*(traits.ends[chosen == side].sum(axis=2).mean(axis=0) for side in (True, False)))
    # A position that shorter sequences lack would distinguish by length.
    traits = traits._replace(ends=traits.ends * (covered >= COVERED)[:, None])
    for fold in np.unique(folds):
        best = _compare_positions(traits, chosen, folds != fold).best
        features = traits.ends[:, best].reshape(len(chosen), -1)
        prediction[folds == fold] = out_of_fold(features, truth[:, None], folds)[folds == fold, 0]
    here, there, distance, best = _compare_positions(traits, chosen, np.ones_like(chosen))
    named = tuple(_describe(place, here[place], there[place]) for place in best if distance[place] >= CLEAR)
    return Barcode(_auroc(truth, prediction), named)


class _Positions(NamedTuple):
    """The share of each base at each position, and where it differs most."""

    here: np.ndarray  # (2 * ENDS, 4) among the chosen rows
    there: np.ndarray  # (2 * ENDS, 4) among the others
    distance: np.ndarray  # (2 * ENDS,) total variation distance between the two
    best: np.ndarray  # (FEW_POSITIONS,)


def _compare_positions(traits: Traits, chosen: np.ndarray, used: np.ndarray) -> _Positions:
    """Compare the bases of chosen and other rows, among rows used (N,) bool; a cluster counts once."""
    here, there = (
        traits.ends[rows[np.unique(traits.cluster[rows], return_index=True)[1]]].mean(axis=0)
        for rows in (np.flatnonzero(used & (chosen == side)) for side in (True, False))
    )
    distance = np.abs(here - there).sum(axis=1) / 2
    return _Positions(here, there, distance, np.argsort(-distance, kind="stable")[:FEW_POSITIONS])


def _describe(place: int, here: np.ndarray, there: np.ndarray) -> str:
    """Name the base at a position whose share differs most between these rows and the others."""
    base = int(np.abs(here - there).argmax())
    where = f"base {place + 1}" if place < ENDS else f"base {2 * ENDS - place} from the end"
    return f"{where} is {LETTERS[base]} in {here[base]:.0%} of these rows and {there[base]:.0%} of the others"


def distinguish(traits: Traits, chosen: np.ndarray) -> Distinction:
    """Distinguish the chosen rows (N,) bool by 5-mers, length, GC content and the bases at both ends."""
    ends = traits.ends.reshape(len(chosen), -1)
    features = np.concatenate([traits.kmers, bins(traits.length), bins(traits.gc), ends], axis=1)
    permuted = permute_between_clusters(chosen, traits.cluster)
    truth = np.concatenate([chosen[:, None], permuted], axis=1).astype(np.float64)
    predictions = out_of_fold(features[:, features.std(axis=0) > 0], truth, _folds(traits))
    areas = [_auroc(mine, prediction) for mine, prediction in zip(truth.T, predictions.T, strict=True)]
    return Distinction(areas[0], float(np.mean(areas[1:])), float(np.std(areas[1:])))


def _auroc(truth: np.ndarray, prediction: np.ndarray) -> float:
    return auroc(truth, prediction) if truth.min() < truth.max() else 0.5


def _folds(traits: Traits) -> np.ndarray:
    return scale(mix(mix(traits.cluster)), FOLDS)  # the rows were sampled by one mix of the cluster
