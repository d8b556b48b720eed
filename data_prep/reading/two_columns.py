"""Stream files of two columns, sequence TAB value, into tokens and values at the speed of numpy.

A block of bytes is translated once; tabs and line ends are found by one comparison, rows are gathered by
their offsets, and numbers are parsed from a fixed-width view. There is no Python per row, and memory does not
grow with the file. Mistakes are reported by their line.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from competition.base.errors import InputError
from competition.data.tokens import PAD, TRANSLATE, check_letters, refuse_missing
from data_prep.reading.files import open_bytes
from data_prep.reading.numbers import is_number

BLOCK_BYTES = 1 << 20  # larger blocks leave the cache and are slower
MAX_NUMBER = 32  # characters of a value


class Block(NamedTuple):
    """Some rows: tokens (n, L) uint8 PAD-filled, lengths (n,), value (n,) float64, whole (n,) bool."""

    tokens: np.ndarray
    lengths: np.ndarray
    value: np.ndarray
    whole: np.ndarray  # written without a decimal point: the bin of a single read


def read_two_columns(path: Path) -> Iterator[Block]:
    """Yield the rows of a TAB-separated file, plain or gzipped, block by block.

    The first line is a header where its second cell is no number; columns after the second are skipped.
    Raises InputError with the line for an unknown letter, an empty sequence, a value that is not a finite
    number and a wrong number of columns, and for a file that is empty or cut off.
    """
    with open_bytes(path) as file:
        first = file.readline()
        cells = first.rstrip(b"\r\n").split(b"\t")
        header = len(cells) > 1 and not is_number(cells[1])
        columns = max(2, len(cells))
        line, rest = (2, b"") if header else (1, first)
        while data := file.read(BLOCK_BYTES):
            data = rest + data
            end = data.rfind(b"\n") + 1
            block, rest = data[:end], data[end:]
            if block:
                rows = _parse(block, path, line, columns)
                line += len(rows.value)
                yield rows
        if rest:
            yield _parse(rest.removesuffix(b"\n") + b"\n", path, line, columns)
            line += 1
    if line == 1 + header:
        raise InputError(f"{path} is empty; wanted lines of sequence TAB value")


def _parse(data: bytes, path: Path, line: int, columns: int) -> Block:
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    raw = np.frombuffer(data, dtype=np.uint8)
    breaks = np.flatnonzero((raw == 9) | (raw == 10))
    if len(breaks) % columns or not _regular(raw[breaks], columns):
        raise InputError(_ragged(data, path, line, columns))
    tabs, ends = breaks[0::columns], breaks[1::columns]
    newlines = breaks[columns - 1 :: columns]
    starts = np.concatenate([[0], newlines[:-1] + 1])
    lengths = tabs - starts
    if lengths.min() == 0:
        raise InputError(f"{path}: line {line + int(lengths.argmin())} has no sequence")
    tokens = _gather(np.frombuffer(data.translate(TRANSLATE), dtype=np.uint8), starts, lengths)

    def describe(row: int, position: int) -> str:
        letter = chr(data[starts[row] + position])
        return f"{path}: line {line + row} has {letter!r} at position {position} of its sequence"

    check_letters(tokens, describe)
    refuse_missing(tokens, lengths, lambda row: f"{path}: line {line + row}")
    value, whole = _numbers(raw, tabs + 1, ends, path, line)
    return Block(tokens, lengths, value, whole)


def _regular(marks: np.ndarray, columns: int) -> bool:
    table = marks.reshape(-1, columns)
    return bool((table[:, :-1] == 9).all() and (table[:, -1] == 10).all())


def _ragged(data: bytes, path: Path, line: int, columns: int) -> str:
    rows = data.splitlines()
    counts = [row.count(b"\t") + 1 for row in rows]
    row = next(number for number, count in enumerate(counts) if count != columns)
    return f"{path}: line {line + row} has {counts[row]} columns; wanted {columns}, separated by TAB"


def _gather(coded: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Gather rows (n, L) from a flat array: rows of the commonest length in one go, the others one by one."""
    width = int(lengths.max())
    common = int(np.bincount(lengths).argmax())
    tokens = np.full((len(starts), width), PAD, dtype=np.uint8)
    alike = np.flatnonzero(lengths == common)
    rows = _slices(coded, starts[alike], common)
    if len(alike) == len(starts):
        tokens[:, :common] = rows
    else:
        tokens[alike, :common] = rows
        for row in np.flatnonzero(lengths != common):
            tokens[row, : lengths[row]] = coded[starts[row] : starts[row] + lengths[row]]
    return tokens


def _slices(flat: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Copy slices (n, length) of a flat array of bytes; none may end beyond it."""
    # A view of every slice of that length, as one item each: copying an item is copying a row.
    items: np.ndarray = np.ndarray((len(flat) - length + 1,), f"V{length}", flat, strides=(1,))
    return np.asarray(items[starts].view(np.uint8).reshape(-1, length))


def _numbers(
    raw: np.ndarray, starts: np.ndarray, ends: np.ndarray, path: Path, line: int
) -> tuple[np.ndarray, np.ndarray]:
    """Parse the numbers between offsets; also say which are written without a decimal point."""
    sizes = ends - starts
    width = int(sizes.max(initial=0))
    if sizes.min(initial=1) == 0 or width > MAX_NUMBER:
        row = int(sizes.argmin() if sizes.min() == 0 else sizes.argmax())
        raise InputError(_not_a_number(raw, starts, ends, path, line, row))
    padded = np.concatenate([raw, np.zeros(width, dtype=np.uint8)])
    text = _slices(padded, starts, width) * (np.arange(width, dtype=np.uint8) < sizes[:, None])
    cells = np.ascontiguousarray(text).view(f"S{width}")[:, 0]
    try:
        value = cells.astype(np.float64)
    except ValueError:
        row = next(number for number, cell in enumerate(cells.tolist()) if not is_number(cell))
        raise InputError(_not_a_number(raw, starts, ends, path, line, row)) from None
    if not np.isfinite(value).all():
        row = int((~np.isfinite(value)).argmax())
        raise InputError(_not_a_number(raw, starts, ends, path, line, row))
    whole = ~((text == ord(".")) | (text == ord("e")) | (text == ord("E"))).any(axis=1)
    return value, whole


def _not_a_number(
    raw: np.ndarray, starts: np.ndarray, ends: np.ndarray, path: Path, line: int, row: int
) -> str:
    text = raw[starts[row] : min(ends[row], starts[row] + MAX_NUMBER)].tobytes().decode("utf-8", "replace")
    return f"{path}: line {line + row} has the value {text!r}; wanted a finite number"
