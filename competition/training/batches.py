"""Batches made on the device from tokens: window, shift, strand, encoding."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from competition.base.errors import InputError
from competition.data.declaration import Declaration
from competition.data.store import Store
from competition.data.tokens import planes
from competition.training.augment import Augmentation, Draws, augmentations, flip
from competition.training.recipe import TOKENS, Recipe
from competition.training.windows import Window, windows_of

RESIDENT_FRACTION = 0.5  # of the free device memory that the rows may take; beyond it they stay on disk


class Batches:
    """Serve the rows of one store as a model wants them: inputs on the device, by name.

    `names` are the inputs to deliver; a sequence comes as (B, C, W) float32, or (B, W) int64 where the
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
            if name not in declaration.input_names:
                raise InputError(
                    f"forward wants the input {name!r}; challenge {declaration.name!r} has: "
                    f"{', '.join(declaration.input_names)}"
                )
        self.windows = self._open_windows(declaration, recipe)
        self.width = sum(window.width for window in self.windows.values())
        self.planes = None
        if recipe.encoding != TOKENS:
            self.planes = torch.from_numpy(planes(recipe.encoding)).to(device)
        self.augmentations = augmentations(recipe)
        self.arrays = {name: store.inputs[name] for name in names if name in store.inputs}
        if store.weight is not None:
            self.arrays["weight"] = store.weight
        self.resident = self._make_resident()

    def _open_windows(self, declaration: Declaration, recipe: Recipe) -> dict[str, Window]:
        known, windows = windows_of(recipe, declaration), {}
        for declared in declaration.sequences:
            name = declared.name
            # A lone sequence is opened in any case: its window bounds a batch of predictions.
            if name not in self.names and len(declaration.sequences) > 1:
                continue
            stored = self.store.sequences[name]
            windows[name] = Window(stored, declared, known[name], self.shift, self.device)
        return windows

    def _make_resident(self) -> dict[str, Tensor] | None:
        """Move the rows to a GPU once where they fit; on a CPU the memory map already is the memory."""
        if self.device.type != "cuda":
            return None
        size = sum(window.nbytes for window in self.windows.values())
        size += sum(array.nbytes for array in self.arrays.values())
        if size > RESIDENT_FRACTION * torch.cuda.mem_get_info(self.device)[0]:
            return None
        for window in self.windows.values():
            window.make_resident()
        return {
            name: torch.from_numpy(np.array(array)).to(self.device) for name, array in self.arrays.items()
        }

    def __len__(self) -> int:
        return len(self.store)

    def training(
        self, rows: np.ndarray, *, seed: int, epoch: int, own: Sequence[Augmentation] = ()
    ) -> dict[str, Tensor]:
        """Return inputs and "target" (B, T), augmented by the recipe, then by a model's own augmentations.

        Where the rows of a challenge have weights, "weight" (B,) comes with them.
        """
        assert self.store.target is not None
        batch = {name: self._array(name, rows) for name in self.names if name not in self.windows}
        for name in (name for name in self.names if name in self.windows):
            draws, offset = Draws(rows, seed, epoch, name), None
            if self.shift != (0, 0):
                offset = draws.integers(*self.shift, "shift")
            tokens = self.windows[name].tokens(rows, offset=offset)
            for augment in (*self.augmentations, *own):
                tokens = augment(tokens, draws)
            batch[name] = self._encode(tokens)
        batch["target"] = torch.from_numpy(np.asarray(self.store.target[rows])).to(self.device)
        if self.store.weight is not None:
            batch["weight"] = self._array("weight", rows)
        return batch

    def inputs(self, rows: np.ndarray, *, strand: np.ndarray | None = None) -> dict[str, Tensor]:
        """Return the named inputs of these rows; strand (B,) 1 shows all sequences' reverse complements."""
        batch = {name: self._array(name, rows) for name in self.names if name not in self.windows}
        for name in (name for name in self.names if name in self.windows):
            tokens = self.windows[name].tokens(rows)
            batch[name] = self._encode(tokens if strand is None else flip(tokens, strand))
        return batch

    def _encode(self, tokens: Tensor) -> Tensor:
        """Return tokens (B, W) as channels (B, C, W) float32, or as the int64 that nn.Embedding takes."""
        if self.planes is None:
            return tokens.long()
        # An embedding is the fastest one-hot; it comes out channels-last, as convolutions like it.
        return functional.embedding(tokens.int(), self.planes).transpose(1, 2)

    def _array(self, name: str, rows: np.ndarray) -> Tensor:
        if self.resident is not None:
            return self.resident[name][torch.from_numpy(rows).to(self.device)]
        return torch.from_numpy(np.asarray(self.arrays[name][rows])).to(self.device)


def cut(count: int, batch_size: int) -> Iterator[slice]:
    """Cut count rows into equal batches of at most batch_size, so that no short last one is left over."""
    num_batches = -(-count // batch_size)
    for number in range(num_batches):
        yield slice(number * count // num_batches, (number + 1) * count // num_batches)


def share(rows: np.ndarray, process: int, num_processes: int) -> np.ndarray:
    """Return the contiguous part of a global batch that falls to one process."""
    return rows[process * len(rows) // num_processes : (process + 1) * len(rows) // num_processes]
