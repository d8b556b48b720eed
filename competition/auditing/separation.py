"""Adversarial validation: whether a regression tells some rows, such as test rows, from the others."""

from typing import NamedTuple

import numpy as np

from competition.auditing.shortcuts import (
    CONTROL_ROWS,
    DEALS,
    MOST_BASES,
    bins,
    count_words,
    out_of_fold,
    read,
    sample_families,
)
from competition.data.hashing import mix, scale
from competition.data.store import Store
from competition.data.tokens import LETTERS, PAD
from competition.metrics.auroc import auroc

ENDS = 40  # bases at either end that are looked at one by one
FEW_POSITIONS = 8  # that tell alone are a barcode; a shift in composition takes more
CLEAR = 0.5  # of the rows have another base there than the others, to be named
COVERED = 0.99  # of the rows of either kind have a base at a position that is looked at alone
FOLDS = 4
FEWEST_CLUSTERS = 10  # of either kind; from fewer nothing is learnt that holds for others


class Traits(NamedTuple):
    """What is known of rows (N, ...)."""

    ends: np.ndarray  # (N, 2 * ENDS, 4) planes of the bases at both ends
    words: np.ndarray  # (N, 1024) share of each 5-mer
    length: np.ndarray  # (N,)
    gc: np.ndarray  # (N,)
    cluster: np.ndarray  # (N,)
    label: np.ndarray  # (N,)


class Barcode(NamedTuple):
    """How well few positions tell rows from others."""

    value: float  # AUROC
    positions: tuple[str, ...]  # the most different first


class Separation(NamedTuple):
    """How well all traits tell rows from others."""

    value: float  # AUROC
    chance: float  # mean AUROC of labels that are permuted between clusters
    spread: float  # its standard deviation


def traits(store: Store, cluster: np.ndarray, label: np.ndarray) -> Traits:
    """Read the traits of rows of whole clusters (N,), labelled (N,); of many rows some ten thousand."""
    rows = sample_families(cluster, max(100, min(CONTROL_ROWS // 2, MOST_BASES // store.tokens.shape[1])))
    tokens, lengths = read(store, rows)
    bases = np.maximum((tokens < 4).sum(axis=1), 1)
    gc = ((tokens == 1) | (tokens == 2)).sum(axis=1) / bases
    return Traits(
        _ends(tokens, lengths), count_words(tokens, lengths), lengths, gc, cluster[rows], label[rows]
    )


def _ends(tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return planes (N, 2 * ENDS, 4) of the first and the last bases; none comes twice."""
    column = np.arange(ENDS)
    last = lengths[:, None] - ENDS + column
    place = np.concatenate([np.broadcast_to(column, last.shape), np.where(last < ENDS, -1, last)], axis=1)
    legal = (place >= 0) & (place < lengths[:, None])
    letters = np.take_along_axis(tokens, place.clip(0, tokens.shape[1] - 1), axis=1)
    return np.eye(PAD + 1, 4, dtype=np.float32)[np.where(legal, letters, PAD)]


def together(one: Traits, other: Traits) -> Traits:
    """Return the traits of all rows of both."""
    return Traits(*(np.concatenate(pair) for pair in zip(one, other, strict=True)))


def tellable(cluster: np.ndarray, chosen: np.ndarray) -> bool:
    """Return whether the chosen rows (N,) bool and the others are of enough clusters (N,) to tell them."""
    return min(len(np.unique(cluster[rows])) for rows in (chosen, ~chosen)) >= FEWEST_CLUSTERS


def find_barcode(known: Traits, chosen: np.ndarray) -> Barcode:
    """Tell the chosen rows (N,) bool by the few positions whose bases differ most, clusters kept apart."""
    truth, told = chosen.astype(np.float64), np.empty(len(chosen))
    folds = _folds(known)
    there = np.minimum(*(known.ends[chosen == side].sum(axis=2).mean(axis=0) for side in (True, False)))
    # A position that shorter sequences lack would tell by length.
    known = known._replace(ends=known.ends * (there >= COVERED)[:, None])
    for fold in np.unique(folds):
        best = _shares(known, chosen, folds != fold).best
        features = known.ends[:, best].reshape(len(chosen), -1)
        told[folds == fold] = out_of_fold(features, truth[:, None], folds)[folds == fold, 0]
    here, there, distance, best = _shares(known, chosen, np.ones_like(chosen))
    names = tuple(_name(place, here[place], there[place]) for place in best if distance[place] >= CLEAR)
    return Barcode(_area(truth, told), names)


class _Shares(NamedTuple):
    """The share of each base at each position, and where it differs most."""

    here: np.ndarray  # (2 * ENDS, 4) among the chosen rows
    there: np.ndarray  # among the others
    distance: np.ndarray  # (2 * ENDS,) total variation between the two
    best: np.ndarray  # (FEW_POSITIONS,)


def _shares(known: Traits, chosen: np.ndarray, looked_at: np.ndarray) -> _Shares:
    """Compare the bases of the chosen rows looked at with those of the others; a cluster counts once."""
    here, there = (
        known.ends[rows[np.unique(known.cluster[rows], return_index=True)[1]]].mean(axis=0)
        for rows in (np.flatnonzero(looked_at & (chosen == side)) for side in (True, False))
    )
    distance = np.abs(here - there).sum(axis=1) / 2
    return _Shares(here, there, distance, np.argsort(-distance, kind="stable")[:FEW_POSITIONS])


def _name(place: int, here: np.ndarray, there: np.ndarray) -> str:
    """Say what is at a position: the base whose share differs most, here and in the other rows."""
    base = int(np.abs(here - there).argmax())
    where = f"base {place + 1}" if place < ENDS else f"base {2 * ENDS - place} from the end"
    return f"{where} is {LETTERS[base]} in {here[base]:.0%}, of the others in {there[base]:.0%}"


def separate(known: Traits, chosen: np.ndarray) -> Separation:
    """Tell the chosen rows (N,) bool by 5-mers, length, GC content and the bases at both ends."""
    features = np.concatenate(
        [known.words, bins(known.length), bins(known.gc), known.ends.reshape(len(chosen), -1)], axis=1
    )
    names, place = np.unique(known.cluster, return_inverse=True)
    dealt = chosen[np.random.default_rng(0).integers(0, len(chosen), (len(names), DEALS))][place]
    truth = np.concatenate([chosen[:, None], dealt], axis=1).astype(np.float64)
    told = out_of_fold(features[:, features.std(axis=0) > 0], truth, _folds(known))
    values = [_area(mine, prediction) for mine, prediction in zip(truth.T, told.T, strict=True)]
    return Separation(values[0], float(np.mean(values[1:])), float(np.std(values[1:])))


def _area(truth: np.ndarray, prediction: np.ndarray) -> float:
    return auroc(truth, prediction) if truth.min() < truth.max() else 0.5


def _folds(known: Traits) -> np.ndarray:
    return scale(mix(mix(known.cluster)), FOLDS)  # the rows were chosen by one mix of the cluster
