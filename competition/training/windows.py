"""The windows of sequences: `[start, stop)` counted from a sequence's origin, read from its tokens.

Where a window leaves the stored sequence it reads the declared flanks, and beyond those PAD; so padding,
truncation, cropping and shifting are one operation.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from competition.base.errors import InputError, one_of
from competition.data.declaration import Declaration, InputSequence
from competition.data.store import StoredSequence
from competition.data.tokens import PAD, encode
from competition.training.recipe import Recipe


def windows_of(recipe: Recipe, declaration: Declaration) -> dict[str, tuple[int, int]]:
    """Return the window of every sequence that has one: what the recipe says, else what is declared.

    Of an opened challenge each sequence has one. A pair is the window of a lone sequence; the windows of
    several are said by name.
    """
    found = {each.name: each.window for each in declaration.sequences}
    if isinstance(recipe.window, Mapping):
        for name in recipe.window:
            if name not in found:
                raise one_of("sequence in window", name, list(found))
        found |= recipe.window
    elif len(found) == 1:
        found = {name: recipe.window or window for name, window in found.items()}
    return {name: window for name, window in found.items() if window is not None}


class Window:
    """The window on the sequences of one name, on a device."""

    def __init__(
        self,
        stored: StoredSequence,
        declared: InputSequence,
        window: tuple[int, int],
        shift: tuple[int, int],
        device: torch.device,
    ) -> None:
        self.stored, self.device = stored, device
        self.width = window[1] - window[0]
        first, last = declared.origin + window[0], declared.origin + window[1]
        longest = stored.tokens.shape[1]
        left, right = (_flank(flank) for flank in (declared.left_flank, declared.right_flank))
        if self.width < 1 or last <= -len(left) or first >= longest + len(right):
            raise InputError(
                f"window {tuple(window)} misses every {declared.name}: from the origin they span "
                f"[{-declared.origin}, {longest - declared.origin})"
            )
        # Only the columns that a window can touch are ever read: shifted in training, still in prediction.
        low, high = min(0, shift[0]), max(0, shift[1])
        self.column = min(max(0, first + low), longest - 1)
        self.columns = slice(self.column, max(self.column + 1, min(longest, last + high)))
        self.first = first
        pad = np.array([PAD], dtype=np.uint8)
        self.left = torch.from_numpy(np.concatenate([pad, left])).to(device)
        self.right = torch.from_numpy(np.concatenate([right, pad])).to(device)
        self.resident: tuple[Tensor, Tensor] | None = None

    @property
    def nbytes(self) -> int:
        """What the rows would take on the device."""
        return int(self.stored.tokens[:, self.columns].nbytes + self.stored.lengths.nbytes)

    def make_resident(self) -> None:
        """Move the rows to the device once."""
        arrays = (self.stored.tokens[:, self.columns], self.stored.lengths)
        tokens, lengths = (torch.from_numpy(np.array(array)).to(self.device) for array in arrays)
        self.resident = tokens, lengths

    def tokens(self, rows: np.ndarray, *, offset: np.ndarray | None = None) -> Tensor:
        """Return the tokens (B, W) uint8 that the window shows of each row, moved by an offset (B,)."""
        tokens, lengths = self._read(self.stored.of(rows))
        first = torch.full((len(rows), 1), self.first, device=self.device)
        if offset is not None:
            first += torch.from_numpy(offset).to(self.device)[:, None]
        return self._look(tokens, lengths[:, None].long(), first)

    def _look(self, tokens: Tensor, lengths: Tensor, first: Tensor) -> Tensor:
        position = first + torch.arange(self.width, device=self.device)  # (B, W) in the stored sequence
        column = (position - self.column).clamp(0, tokens.shape[1] - 1)
        beyond = (position - lengths).clamp(0, len(self.right) - 1)
        before = (position + len(self.left)).clamp(0, len(self.left) - 1)
        outside = torch.where(position < 0, self.left[before], self.right[beyond])
        return torch.where((position >= 0) & (position < lengths), tokens.gather(1, column), outside)

    def _read(self, sequences: np.ndarray) -> tuple[Tensor, Tensor]:
        if self.resident is not None:
            index = torch.from_numpy(sequences).to(self.device)
            return self.resident[0][index], self.resident[1][index]
        tokens = torch.from_numpy(np.asarray(self.stored.tokens[sequences, self.columns]))
        lengths = torch.from_numpy(np.asarray(self.stored.lengths[sequences]))
        return tokens.to(self.device, non_blocking=True), lengths.to(self.device, non_blocking=True)


def _flank(flank: str) -> np.ndarray:
    return encode([flank], name="flank")[0][0] if flank else np.empty(0, dtype=np.uint8)
