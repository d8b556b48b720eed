"""Find the rows of one challenge that are relatives of rows of another."""

from typing import NamedTuple

import numpy as np

from competition.data.challenge import OpenChallenge
from competition.data.groups import relatives
from competition.data.hashing import hash_either_strand
from competition.data.store import Store
from competition.data.tokens import PAD


class Families(NamedTuple):
    """The family of every row of two challenges, numbered alike: rows of one family are relatives."""

    source: np.ndarray  # (N,) training rows of the first
    train: np.ndarray  # (M,) training rows of the second
    test: np.ndarray  # (K,) test rows of the second, none where it has no test set


def find_families(source: OpenChallenge, target: OpenChallenge) -> Families:
    """Join the training rows of source and all rows of target into families.

    Relatives are near-duplicates, as for the folds; equal sequences on either strand where one of the
    challenges says that near-duplicates may be apart.
    """
    stores = [source.train, target.train, *([target.test] if target.test is not None else [])]
    tokens, lengths = _stack(stores)
    if source.challenge.near_duplicates and target.challenge.near_duplicates:
        family, _ = relatives(tokens, lengths)
    else:
        _, family = np.unique(hash_either_strand(tokens, lengths), return_inverse=True)
    parts, first = [], 0
    for store in stores:
        parts.append(family[first + store.sequence_of(np.arange(len(store)))])
        first += len(store.lengths)
    test = parts[2] if len(parts) > 2 else np.empty(0, dtype=np.int64)
    return Families(parts[0], parts[1], test)


def _stack(stores: list[Store]) -> tuple[np.ndarray, np.ndarray]:
    """Put the sequences of several stores into one array (N, L), padded to the longest."""
    width = max(store.tokens.shape[1] for store in stores)
    tokens = np.full((sum(len(store.lengths) for store in stores), width), PAD, dtype=np.uint8)
    first = 0
    for store in stores:
        tokens[first : first + len(store.lengths), : store.tokens.shape[1]] = store.tokens
        first += len(store.lengths)
    return tokens, np.concatenate([np.asarray(store.lengths) for store in stores])


def rows_to_keep_out(source: OpenChallenge, target: OpenChallenge) -> np.ndarray:
    """Return which training rows (N,) bool of source are relatives of any row of target."""
    families = find_families(source, target)
    return np.isin(families.source, np.concatenate([families.train, families.test]))
