"""Leave out rows without a target or a sequence."""

from collections.abc import Iterator

import numpy as np

from data_prep.reading.columns import Columns
from data_prep.reading.numbers import is_missing
from data_prep.reading.rows import Piece


class SkipMissing:
    """Drop rows without a sequence, training rows that lack a target and test rows that lack them all."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.without_target = self.without_sequence = 0

    @property
    def note(self) -> str:
        return (
            f"skipped {self.without_target:,} rows without a target "
            f"and {self.without_sequence:,} without a sequence"
        )

    def __call__(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        self.without_target = self.without_sequence = 0
        for piece in pieces:
            blank = self._missing(piece, list(self.columns.sequences.values())).any(axis=1)
            absent = self._missing(piece, [number.column for number in self.columns.targets])
            unknown = np.where(piece.usage == "train", absent.any(axis=1), absent.all(axis=1))
            self.without_sequence += int(blank.sum())
            self.without_target += int((unknown & ~blank).sum())
            yield piece.take(~blank & ~unknown)

    def _missing(self, piece: Piece, columns: list[str]) -> np.ndarray:
        """Say which cells hold no value: (n, columns)."""
        return np.stack([is_missing(piece.rows[column]).to_numpy() for column in columns], axis=1)
