"""The rows of a challenge, and the sequences that are searched for their homologs."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from competition.data.challenge import Challenge
from competition.data.folds import FoldTable
from competition.data.groups import join_columns
from competition.data.store import StoredSequence

TEST = -1  # the side of test rows; folds are 0, 1, ...


class Part(NamedTuple):
    """The entries of stored sequences: one on one side, so that one with rows in two folds is two entries."""

    store: StoredSequence
    sequence: np.ndarray  # (E,) which of them
    side: np.ndarray  # (E,)


def part_of(stored: StoredSequence, side: np.ndarray) -> tuple[Part, np.ndarray]:
    """Return the entries of stored sequences and that of each row (N,); side (N,) is a fold, or TEST."""
    sequence = stored.of(np.arange(len(side)))
    width = int(side.max()) + 2
    found, entry = np.unique(sequence.astype(np.int64) * width + side + 1, return_inverse=True)
    return Part(stored, found // width, found % width - 1), entry


@dataclass(frozen=True)
class Rows:
    """The rows of a challenge, and the entries of their S sequences, numbered through training and test."""

    challenge: Challenge
    folds: FoldTable
    parts: tuple[Part, ...]
    train_entry: np.ndarray  # (N, S)
    test_entry: np.ndarray  # (K, S), none where there is no test set

    @classmethod
    def of(cls, challenge: Challenge, folds: FoldTable) -> "Rows":
        """Number the entries of a challenge."""
        stores = [(challenge.train, folds.fold)]
        if challenge.test is not None:
            stores.append((challenge.test, np.full(len(challenge.test), TEST)))
        parts, entries, first = [], [], 0
        for store, side in stores:
            columns = []
            for stored in store.sequences.values():
                part, entry = part_of(stored, side)
                columns.append(first + entry)
                parts.append(part)
                first += len(part.sequence)
            entries.append(np.stack(columns, axis=1))
        return cls(challenge, folds, tuple(parts), entries[0], entries[-1] if entries[1:] else entries[0][:0])

    @property
    def num_entries(self) -> int:
        return sum(len(part.sequence) for part in self.parts)

    def join(self, cluster: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the cluster of each training row (N,) and test row (K,) from those of entries (E,).

        Rows that share the cluster of any of their sequences are in one.
        """
        joined = join_columns(cluster[np.concatenate([self.train_entry, self.test_entry])])
        return joined[: len(self.train_entry)], joined[len(self.train_entry) :]

    def name(self, entry: int) -> str:
        """Return the id of the first row of an entry and its fold, and which of its sequences that is."""
        found, store = np.argwhere(self.train_entry == entry), self.challenge.train
        where = f"fold {self.folds.fold[found[0, 0]]}" if len(found) else "test"
        if not len(found):
            assert self.challenge.test is not None
            found, store = np.argwhere(self.test_entry == entry), self.challenge.test
        row, column = found[0]
        which = f", {list(store.sequences)[column]}" if len(store.sequences) > 1 else ""
        return f"{store.rows['id'][row]} ({where}{which})"

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
