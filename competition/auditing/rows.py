"""The rows of a challenge, and the sequences that are searched for their homologs."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from competition.data.challenge import Challenge
from competition.data.folds import FoldTable
from competition.data.store import Store

TEST = -1  # the side of test rows; folds are 0, 1, ...


class Part(NamedTuple):
    """The entries of a store: a sequence on one side, so that one with rows in two folds is two entries."""

    store: Store
    sequence: np.ndarray  # (E,) which stored sequence
    side: np.ndarray  # (E,)


def part_of(store: Store, side: np.ndarray) -> tuple[Part, np.ndarray]:
    """Return the entries of a store and that of each row (N,); side (N,) is a row's fold, or TEST."""
    sequence = store.sequence_of(np.arange(len(store)))
    width = int(side.max()) + 2
    found, entry = np.unique(sequence.astype(np.int64) * width + side + 1, return_inverse=True)
    return Part(store, found // width, found % width - 1), entry


@dataclass(frozen=True)
class Rows:
    """The rows of a challenge, and the entry of each; entries are numbered through training and test."""

    challenge: Challenge
    folds: FoldTable
    parts: tuple[Part, ...]
    train_entry: np.ndarray  # (N,)
    test_entry: np.ndarray | None  # (K,)

    @classmethod
    def of(cls, challenge: Challenge, folds: FoldTable) -> "Rows":
        """Number the entries of a challenge."""
        train, train_entry = part_of(challenge.train, folds.fold)
        if challenge.test is None:
            return cls(challenge, folds, (train,), train_entry, None)
        test, test_entry = part_of(challenge.test, np.full(len(challenge.test), TEST))
        return cls(challenge, folds, (train, test), train_entry, test_entry + len(train.sequence))

    @property
    def num_entries(self) -> int:
        return sum(len(part.sequence) for part in self.parts)

    def name(self, entry: int) -> str:
        """Return the id of the first row of an entry, and its fold."""
        row = int((self.train_entry == entry).argmax())
        if self.train_entry[row] == entry:
            return f"{self.challenge.train.rows['id'][row]} (fold {self.folds.fold[row]})"
        assert self.challenge.test is not None and self.test_entry is not None
        return f"{self.challenge.test.rows['id'][int((self.test_entry == entry).argmax())]} (test)"

    def tokens(self, entry: int) -> np.ndarray:
        """Return the tokens (1, L) of an entry, without padding."""
        for part in self.parts:
            if entry < len(part.sequence):
                sequence = part.sequence[entry]
                return np.asarray(part.store.tokens[sequence : sequence + 1, : part.store.lengths[sequence]])
            entry -= len(part.sequence)
        raise AssertionError(entry)


def group_means(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the mean of values (N, T) in every group (G, T); group (N,) numbers them from 0."""
    count = np.bincount(group)
    return np.stack([np.bincount(group, column) / count for column in values.T], axis=1)
