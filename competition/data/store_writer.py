"""Write the rows of one part (train or test) of a challenge, block by block."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from competition.data.arrays import ArrayWriter, TokenWriter
from competition.data.declaration import InputSequence
from competition.data.store import read_rows
from competition.data.tokens import PAD

LARGEST = 1e15  # float32 ends at 3.4e38, and the squares of a hundred million rows are added up


class SequenceWriter:
    """Write the sequences of one name, and which of them each row reads where rows share them."""

    def __init__(self, folder: Path, declared: InputSequence) -> None:
        tokens, lengths, index = (folder / f"{name}.npy" for name in declared.files)
        self.tokens = TokenWriter(tokens)
        self.lengths = ArrayWriter(lengths, np.int32, ())
        self.path_of_index = index
        self.index: ArrayWriter | None = None

    def append(self, tokens: np.ndarray, lengths: np.ndarray) -> None:
        assert len(tokens) == len(lengths), (len(tokens), len(lengths))
        assert np.count_nonzero(tokens < PAD) == np.sum(lengths), "letters and lengths disagree"
        self.tokens.append(tokens)
        self.lengths.append(np.asarray(lengths))

    @property
    def width(self) -> int:
        """The length of the longest sequence so far."""
        return self.tokens.writer.row_shape[0] if self.tokens.writer else 0

    def append_index(self, index: np.ndarray) -> None:
        assert np.all((index >= 0) & (index < self.lengths.num_rows)), "no such sequence"
        self.index = self.index or ArrayWriter(self.path_of_index, np.int32, ())
        self.index.append(index)

    def close(self) -> int:
        """Finish the files; return the number of rows."""
        self.tokens.close()
        self.lengths.close()
        if self.index is None:
            return self.lengths.num_rows
        self.index.close()
        return self.index.num_rows


class StoreWriter:
    """Write the rows of one part (train or test) of a challenge, block by block."""

    def __init__(
        self,
        folder: Path,
        *,
        inputs: Mapping[str, tuple[int, ...]],
        num_targets: int,
        sequences: Sequence[InputSequence] = (InputSequence(),),
    ) -> None:
        folder.mkdir(parents=True)
        self.folder, self.input_shapes, self.num_targets = folder, dict(inputs), num_targets
        self.sequences = {each.name: SequenceWriter(folder, each) for each in sequences}
        self.arrays = {k: ArrayWriter(folder / f"{k}.npy", np.float32, v) for k, v in inputs.items()}
        self.target: ArrayWriter | None = None
        self.weight: ArrayWriter | None = None
        self.row_columns: list[str] | None = None
        self.num_rows = 0

    def append(
        self,
        tokens: np.ndarray | Mapping[str, np.ndarray],
        lengths: np.ndarray | Mapping[str, np.ndarray],
        *,
        target: np.ndarray | None = None,
        weight: np.ndarray | None = None,
        inputs: Mapping[str, np.ndarray] | None = None,
        rows: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        """Append rows that each bring a sequence: tokens (n, L) uint8 PAD-filled, lengths (n,).

        Of rows with several sequences both are given by name. target (n, T) or (n,), weight (n,) of at least
        0 and on any scale, inputs {name: (n, *shape)}, rows {column: n values}. Without rows the ids are the
        row numbers. Raises InputError where a number is not finite.
        """
        self.append_sequences(tokens, lengths)
        count = len(next(iter(self._by_name(tokens).values())))
        self._append_rows(count, target=target, weight=weight, inputs=inputs, rows=rows)

    def append_sequences(
        self, tokens: np.ndarray | Mapping[str, np.ndarray], lengths: np.ndarray | Mapping[str, np.ndarray]
    ) -> None:
        """Append sequences (n, L) that rows refer to by their number; of several, both are given by name."""
        long = self._by_name(lengths)
        for name, block in self._by_name(tokens).items():
            self.sequences[name].append(block, long[name])

    def append_rows(self, sequence_index: np.ndarray | Mapping[str, np.ndarray], **columns: Any) -> None:
        """Append rows that share sequences: sequence_index (n,) counts the sequences appended so far.

        Of rows with several sequences there is one by name.
        """
        by_name = self._by_name(sequence_index)
        for name, index in by_name.items():
            self.sequences[name].append_index(np.asarray(index))
        self._append_rows(len(next(iter(by_name.values()))), **columns)

    def _by_name(self, given: np.ndarray | Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        by_name = given if isinstance(given, Mapping) else {next(iter(self.sequences)): given}
        assert by_name.keys() == self.sequences.keys(), (list(by_name), list(self.sequences))
        return by_name

    def _append_rows(
        self,
        count: int,
        *,
        target: np.ndarray | None = None,
        weight: np.ndarray | None = None,
        inputs: Mapping[str, np.ndarray] | None = None,
        rows: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        given = dict(inputs or {})
        assert given.keys() == self.arrays.keys(), (list(given), list(self.arrays))
        for name, values in given.items():
            self.arrays[name].append(self._finite(name, values, self.input_shapes[name]))
        if target is not None:
            shape = (self.num_targets,)
            self.target = self.target or ArrayWriter(self.folder / "target.npy", np.float32, shape)
            self.target.append(self._finite("target", target, shape))
        if weight is not None:
            weight = self._finite("weight", weight, ())
            assert (weight >= 0).all(), weight
            self.weight = self.weight or ArrayWriter(self.folder / "weight.npy", np.float32, ())
            self.weight.append(weight)
        if rows is not None:
            frame = pd.DataFrame({name: list(values) for name, values in rows.items()})
            assert "id" in frame and len(frame) == count, (list(frame), len(frame), count)
            first = self.row_columns is None
            self.row_columns = self.row_columns or list(frame.columns)
            assert self.row_columns == list(frame.columns)
            frame.to_csv(self.folder / "rows.csv", mode="a", header=first, index=False, lineterminator="\n")
        self.num_rows += count

    def _finite(self, name: str, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return finite values as float32 (n, *shape); (n,) will do for (n, 1)."""
        with np.errstate(over="ignore"):  # 1e39 is infinite
            block = np.asarray(values, dtype=np.float32)
        block = block[:, None] if shape == (1,) and block.ndim == 1 else block
        bad = np.argwhere(~(np.abs(block) <= LARGEST))
        if len(bad):
            value = block[tuple(bad[0])]
            raise InputError(
                f"{name}: row {self.num_rows + bad[0, 0]} has {value}; wanted finite numbers of at most "
                f"{LARGEST:g}, whose squares can be added up"
            )
        return block

    def close(self) -> None:
        """Finish the files and check the whole: counts agree and ids are unique."""
        num_rows = [each.close() for each in self.sequences.values()]
        writers = [writer for writer in (*self.arrays.values(), self.target, self.weight) if writer]
        for writer in writers:
            writer.close()
        if self.num_rows == 0:
            raise InputError(f"{self.folder.name}: no rows; wanted at least one")
        assert {*num_rows, *(writer.num_rows for writer in writers)} == {self.num_rows}, num_rows
        if self.weight is not None:
            normalise(self.weight.path)
        if self.row_columns is not None:
            rows = read_rows(self.folder / "rows.csv")
            assert len(rows) == self.num_rows, (len(rows), self.num_rows)
            check_ids(rows, self.folder.name)


def normalise(path: Path) -> None:
    """Scale the weights in a file to a mean of 1, so that the mean of weighted losses is a mean over rows."""
    weights: np.ndarray = np.load(path, mmap_mode="r+")
    total = math.fsum(weights.tolist())  # exact, and so the same on every processor
    if total == 0:
        raise InputError(f"{path.parent.name}: every row has weight 0; wanted one above 0 at least")
    weights[:] = weights.astype(np.float64) * (len(weights) / total)


def check_ids(rows: pd.DataFrame, name: str) -> None:
    """Raise InputError with examples where ids repeat."""
    repeated = rows["id"][rows["id"].duplicated()]
    if len(repeated):
        raise InputError(
            f"{name}: {len(repeated)} duplicate ids ({', '.join(repeated[:3])}); wanted each id once"
        )
