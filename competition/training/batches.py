"""Batches made on the device from tokens: window, shift, strand, encoding.

A window is `[start, stop)` counted from the challenge's origin. Where it leaves the stored sequence it reads
the declared flanks, and beyond those PAD; so padding, truncation, cropping and shifting are one operation.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from competition.base.errors import InputError
from competition.data.declaration import Declaration
from competition.data.store import Store
from competition.data.tokens import PAD, encode, planes
from competition.training.augment import Augmentation, Draws, augmentations, flip
from competition.training.recipe import TOKENS, Recipe

RESIDENT_FRACTION = 0.5  # of the free device memory that the rows may take; beyond it they stay on disk


class Batches:
    """Serve the rows of one store as a model wants them: inputs on the device, by name.

    `names` are the inputs to deliver; "sequence" comes as (B, C, W) float32, or (B, W) int64 where the
    encoding is "tokens", the others as stored.
    """

    def __init__(
        self,
        store: Store,
        declaration: Declaration,
        recipe: Recipe,
        names: Sequence[str],
        device: torch.device,
    ) -> None:
        self.store, self.device, self.names = store, device, names
        self.shift, self.both_strands = recipe.shift, recipe.reverse_complement
        for name in names:
            if name != "sequence" and name not in store.inputs:
                known = ", ".join(["sequence", *store.inputs])
                raise InputError(
                    f"forward wants the input {name!r}; challenge {declaration.name!r} has: {known}"
                )
        self.arrays = {name: store.inputs[name] for name in names if name != "sequence"}
        if store.weight is not None:
            self.arrays["weight"] = store.weight
        self._open_window(declaration, recipe.window)
        self.planes = None
        if recipe.encoding != TOKENS:
            self.planes = torch.from_numpy(planes(recipe.encoding)).to(device)
        self.augmentations = augmentations(recipe)
        self.resident = self._make_resident()

    def _open_window(self, declaration: Declaration, window: tuple[int, int]) -> None:
        start, stop = window
        self.width = stop - start
        first, last = declaration.origin + start, declaration.origin + stop
        longest = self.store.tokens.shape[1]
        left, right = (_flank(flank) for flank in (declaration.left_flank, declaration.right_flank))
        if self.width < 1 or last <= -len(left) or first >= longest + len(right):
            raise InputError(
                f"window {window} misses every sequence: from the origin they span "
                f"[{-declaration.origin}, {longest - declaration.origin})"
            )
        # Only the columns that a window can touch are ever read: shifted in training, still in prediction.
        low, high = min(0, self.shift[0]), max(0, self.shift[1])
        self.column = min(max(0, first + low), longest - 1)
        self.columns = slice(self.column, max(self.column + 1, min(longest, last + high)))
        self.first = first
        pad = np.array([PAD], dtype=np.uint8)
        self.left = torch.from_numpy(np.concatenate([pad, left])).to(self.device)
        self.right = torch.from_numpy(np.concatenate([right, pad])).to(self.device)

    def _make_resident(self) -> dict[str, Tensor] | None:
        """Move the rows to a GPU once where they fit; on a CPU the memory map already is the memory."""
        if self.device.type != "cuda":
            return None
        tokens = self.store.tokens[:, self.columns]
        arrays = {"tokens": tokens, "lengths": self.store.lengths, **self.arrays}
        size = sum(array.nbytes for array in arrays.values())
        if size > RESIDENT_FRACTION * torch.cuda.mem_get_info(self.device)[0]:
            return None
        return {name: torch.from_numpy(np.array(array)).to(self.device) for name, array in arrays.items()}

    def __len__(self) -> int:
        return len(self.store)

    def training(
        self, rows: np.ndarray, *, seed: int, epoch: int, own: Sequence[Augmentation] = ()
    ) -> dict[str, Tensor]:
        """Return inputs and "target" (B, T), augmented by the recipe, then by a model's own augmentations.

        Where the rows of a challenge have weights, "weight" (B,) comes with them.
        """
        assert self.store.target is not None
        batch = {name: self._array(name, rows) for name in self.names if name != "sequence"}
        if "sequence" in self.names:
            draws, offset = Draws(rows, seed, epoch), None
            if self.shift != (0, 0):
                offset = draws.integers(*self.shift, "shift")
            tokens = self.window(rows, offset=offset)
            for augment in (*self.augmentations, *own):
                tokens = augment(tokens, draws)
            batch["sequence"] = self._encode(tokens)
        batch["target"] = torch.from_numpy(np.asarray(self.store.target[rows])).to(self.device)
        if self.store.weight is not None:
            batch["weight"] = self._array("weight", rows)
        return batch

    def inputs(self, rows: np.ndarray, *, strand: np.ndarray | None = None) -> dict[str, Tensor]:
        """Return the named inputs of these rows; strand (B,) 1 shows the reverse complement."""
        batch = {name: self._array(name, rows) for name in self.names if name != "sequence"}
        if "sequence" in self.names:
            batch["sequence"] = self._encode(self.window(rows, strand=strand))
        return batch

    def _encode(self, tokens: Tensor) -> Tensor:
        """Return tokens (B, W) as channels (B, C, W) float32, or as the int64 that nn.Embedding takes."""
        if self.planes is None:
            return tokens.long()
        # An embedding is the fastest one-hot; it comes out channels-last, as convolutions like it.
        return functional.embedding(tokens.int(), self.planes).transpose(1, 2)

    def window(
        self, rows: np.ndarray, *, offset: np.ndarray | None = None, strand: np.ndarray | None = None
    ) -> Tensor:
        """Return the tokens (B, W) uint8 that the window of each row shows."""
        sequences = self.store.sequence_of(rows)
        tokens, lengths = self._tokens(sequences)
        first = torch.full((len(rows), 1), self.first, device=self.device)
        if offset is not None:
            first += torch.from_numpy(offset).to(self.device)[:, None]
        window = self._look(tokens, lengths[:, None].long(), first)
        return window if strand is None else flip(window, strand)

    def _look(self, tokens: Tensor, lengths: Tensor, first: Tensor) -> Tensor:
        position = first + torch.arange(self.width, device=self.device)  # (B, W) in the stored sequence
        column = (position - self.column).clamp(0, tokens.shape[1] - 1)
        beyond = (position - lengths).clamp(0, len(self.right) - 1)
        before = (position + len(self.left)).clamp(0, len(self.left) - 1)
        outside = torch.where(position < 0, self.left[before], self.right[beyond])
        return torch.where((position >= 0) & (position < lengths), tokens.gather(1, column), outside)

    def _tokens(self, sequences: np.ndarray) -> tuple[Tensor, Tensor]:
        if self.resident is not None:
            index = torch.from_numpy(sequences).to(self.device)
            return self.resident["tokens"][index], self.resident["lengths"][index]
        tokens = torch.from_numpy(np.asarray(self.store.tokens[sequences, self.columns]))
        lengths = torch.from_numpy(np.asarray(self.store.lengths[sequences]))
        return tokens.to(self.device, non_blocking=True), lengths.to(self.device, non_blocking=True)

    def _array(self, name: str, rows: np.ndarray) -> Tensor:
        if self.resident is not None:
            return self.resident[name][torch.from_numpy(rows).to(self.device)]
        return torch.from_numpy(np.asarray(self.arrays[name][rows])).to(self.device)


def _flank(flank: str) -> np.ndarray:
    return encode([flank], name="flank")[0][0] if flank else np.empty(0, dtype=np.uint8)


def cut(count: int, batch_size: int) -> Iterator[slice]:
    """Cut count rows into equal batches of at most batch_size, so that no short last one is left over."""
    num_batches = -(-count // batch_size)
    for number in range(num_batches):
        yield slice(number * count // num_batches, (number + 1) * count // num_batches)


def share(rows: np.ndarray, process: int, num_processes: int) -> np.ndarray:
    """Return the contiguous part of a global batch that falls to one process."""
    return rows[process * len(rows) // num_processes : (process + 1) * len(rows) // num_processes]
