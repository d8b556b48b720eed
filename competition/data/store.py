"""The rows of one part (train or test) of a challenge, read as memory maps."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from competition.data.declaration import InputSequence


def read_rows(path: Path) -> pd.DataFrame:
    """Read rows.csv with every column as text."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


class StoredSequence:
    """The sequences of one name, memory-mapped; rows may share them."""

    def __init__(self, folder: Path, declared: InputSequence) -> None:
        tokens, lengths, index = (folder / f"{name}.npy" for name in declared.files)
        self.tokens = _memory_map(tokens)  # (S, L) uint8
        self.lengths = _memory_map(lengths)  # (S,)
        self.index = _optional_map(index)  # (N,) or None: each row has its own

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Return which of them each of these rows reads."""
        return rows if self.index is None else np.asarray(self.index[rows])


class Store:
    """One part (train or test) of a challenge, memory-mapped."""

    def __init__(
        self, folder: Path, inputs: Iterable[str], sequences: Iterable[InputSequence] = (InputSequence(),)
    ) -> None:
        self.folder = folder
        self.sequences = {each.name: StoredSequence(folder, each) for each in sequences}
        self.target = _optional_map(folder / "target.npy")  # (N, T) or None
        self.weight = _optional_map(folder / "weight.npy")  # (N,) of mean 1, or None
        self.inputs = {name: _memory_map(folder / f"{name}.npy") for name in inputs}  # (N, *shape)

    def __len__(self) -> int:
        first = next(iter(self.sequences.values()))
        return len(first.lengths) if first.index is None else len(first.index)

    @property
    def sequence(self) -> StoredSequence:
        """The sequence of rows that have one; InputError where they have several."""
        if len(self.sequences) > 1:
            names = ", ".join(self.sequences)
            raise InputError(f"each row has several sequences ({names}); wanted rows with one")
        return next(iter(self.sequences.values()))

    @cached_property
    def rows(self) -> pd.DataFrame:
        """Columns of rows.csv as text, one line a row; always has "id"."""
        path = self.folder / "rows.csv"
        if path.exists():
            return read_rows(path)
        return pd.DataFrame({"id": np.arange(len(self)).astype(str)})


def _memory_map(path: Path) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} cannot be read as an array: {error}") from None
    return array


def _optional_map(path: Path) -> np.ndarray | None:
    return _memory_map(path) if path.exists() else None
