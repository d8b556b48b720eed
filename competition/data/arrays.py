"""Arrays that are written in a stream, one .npy file each."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from competition.data.tokens import PAD

HEADER_BYTES = 128  # an .npy header of fixed size can be filled in when the number of rows is known
COPY_ROWS = 65_536


WRITING = ThreadPoolExecutor(1, "store")  # the next block is made while the last one is written


class ArrayWriter:
    """Append blocks of rows to one .npy file; memory does not grow with the number of rows."""

    def __init__(self, path: Path, dtype: Any, row_shape: tuple[int, ...]) -> None:
        self.path, self.dtype, self.row_shape = path, np.dtype(dtype), row_shape
        self.num_rows = 0
        self.file: BinaryIO = path.open("wb")
        self.file.write(bytes(HEADER_BYTES))
        self.writing: Future[int] | None = None

    def append(self, block: np.ndarray) -> None:
        assert block.shape[1:] == self.row_shape, (self.path, block.shape, self.row_shape)
        self._wait()
        copy = np.array(block, dtype=self.dtype, order="C")  # the caller may go on with its own
        self.writing = WRITING.submit(self.file.write, copy.data)
        self.num_rows += len(block)

    def _wait(self) -> None:
        """Wait for the block that is being written; a full disk raises here."""
        if self.writing is not None:
            self.writing.result()
            self.writing = None

    def close(self) -> None:
        self._wait()
        shape = (self.num_rows, *self.row_shape)
        text = f"{{'descr': '{self.dtype.str}', 'fortran_order': False, 'shape': {shape!r}, }}"
        magic = b"\x93NUMPY\x01\x00" + (HEADER_BYTES - 10).to_bytes(2, "little")
        self.file.seek(0)
        self.file.write(magic + text.encode().ljust(HEADER_BYTES - 11) + b"\n")
        self.file.close()


class TokenWriter:
    """Append token blocks of any width; the file is laid out again when a longer sequence comes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer: ArrayWriter | None = None

    def append(self, tokens: np.ndarray) -> None:
        if self.writer is None:
            self.writer = ArrayWriter(self.path, np.uint8, (tokens.shape[1],))
        width = self.writer.row_shape[0]
        if tokens.shape[1] > width:
            self._widen(tokens.shape[1])
        elif tokens.shape[1] < width:
            tokens = _pad_to(tokens, width)
        self.writer.append(tokens)

    def _widen(self, width: int) -> None:
        assert self.writer is not None
        self.writer.close()
        narrow = self.path.with_suffix(".narrow")
        self.path.rename(narrow)
        old = np.load(narrow, mmap_mode="r") if self.writer.num_rows else np.empty((0, width), np.uint8)
        self.writer = ArrayWriter(self.path, np.uint8, (width,))
        for start in range(0, len(old), COPY_ROWS):
            self.writer.append(_pad_to(old[start : start + COPY_ROWS], width))
        narrow.unlink()

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


def _pad_to(tokens: np.ndarray, width: int) -> np.ndarray:
    padded = np.full((len(tokens), width), PAD, dtype=np.uint8)
    padded[:, : tokens.shape[1]] = tokens
    return padded
