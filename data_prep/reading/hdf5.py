"""Read columns of AnnData, and of other HDF5 files with a dataset for each column.

Rows of an AnnData file are its observations, or its variables where only these have a column "sequence". The
columns are those of the rows' table, its index as "id", and the values X of the other axis by their names
(format: https://anndata.readthedocs.io/en/stable/fileformat-prose.html).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from competition.base.errors import InputError
from data_prep.reading.extras import import_extra

Reader = Callable[[int, int], np.ndarray]  # of the rows [start, stop) of a column
ID = "id"


def hdf5_names(path: Path) -> list[str]:
    """Return the names of the columns."""
    with _open(path) as file:
        return list(_columns(file, path)[1])


def hdf5_pieces(path: Path, columns: Sequence[str], step: int) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Yield the first row and the values of these columns, so many rows at a time."""
    with _open(path) as file:
        count, readers = _columns(file, path)
        for start in range(0, count, step):
            stop = min(start + step, count)
            yield start, {name: readers[name](start, stop) for name in columns}


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    h5py = import_extra("h5py", "h5", ".h5ad and .h5 files")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError) as error:
        raise InputError(f"{path} cannot be read as HDF5: {error}") from None


def _columns(file: Any, path: Path) -> tuple[int, dict[str, Reader]]:
    """Return the number of rows and the reader of each column."""
    if "obs" not in file:
        return _datasets(file, path)
    axis = "var" if "sequence" in file.get("var", ()) and "sequence" not in file["obs"] else "obs"
    rows, others = file[axis], file["var" if axis == "obs" else "obs"]
    if not hasattr(rows, "keys"):
        raise InputError(f"{path} is of an old version of AnnData; read and write it with a new one")
    index = rows.attrs["_index"]
    readers = {name: _column(rows[name]) for name in rows if name != index}
    readers.setdefault(ID, _column(rows[index]))
    count = len(rows[index])
    if "X" in file:
        names = np.asarray(others[others.attrs["_index"]])
        for number, name in enumerate(names.tolist()):
            readers.setdefault(
                name.decode() if isinstance(name, bytes) else str(name),
                _values(file["X"], number, transposed=axis == "var"),
            )
    return count, readers


def _datasets(file: Any, path: Path) -> tuple[int, dict[str, Reader]]:
    """Return the datasets of one dimension, which must be equally long."""
    found = {name: each for name, each in file.items() if getattr(each, "shape", None) and each.ndim == 1}
    lengths = {len(each) for each in found.values()}
    if len(lengths) != 1:
        raise InputError(
            f"{path} has {len(found)} datasets of one dimension, of {len(lengths)} lengths; "
            "wanted AnnData, or a dataset of the same length for each column"
        )
    return lengths.pop(), {name: _column(each) for name, each in found.items()}


def _column(stored: Any) -> Reader:
    """Return the reader of a dataset, of categories or of values that may be missing."""
    if hasattr(stored, "dtype"):
        return lambda start, stop: np.asarray(stored[start:stop])
    if "categories" in stored:
        names = np.array([*stored["categories"], None], dtype=object)  # code -1: no value
        return lambda start, stop: np.asarray(names[stored["codes"][start:stop]])
    values, mask = stored["values"], stored["mask"]
    return lambda start, stop: np.array(
        [None if m else v for v, m in zip(values[start:stop], mask[start:stop], strict=True)], dtype=object
    )


def _values(stored: Any, number: int, *, transposed: bool) -> Reader:
    """Return the reader of one column of X (N, M), or one row of it where it is transposed."""
    if hasattr(stored, "dtype"):
        if transposed:
            return lambda start, stop: np.asarray(stored[number, start:stop])
        return lambda start, stop: np.asarray(stored[start:stop, number])
    by_row = stored.attrs["encoding-type"] == "csr_matrix"
    if by_row == transposed:  # what is wanted lies together
        return lambda start, stop: _lying(stored, number, start, stop)
    return lambda start, stop: _across(stored, number, start, stop)


def _lying(stored: Any, number: int, start: int, stop: int) -> np.ndarray:
    """Return elements [start, stop) of a compressed row or column."""
    first, last = stored["indptr"][number : number + 2]
    place, value = stored["indices"][first:last], stored["data"][first:last]
    found, inside = np.zeros(stop - start), (place >= start) & (place < stop)
    found[place[inside] - start] = value[inside]
    return found


def _across(stored: Any, number: int, start: int, stop: int) -> np.ndarray:
    """Return one element of each of the compressed rows or columns [start, stop)."""
    edges = stored["indptr"][start : stop + 1]
    chosen = stored["indices"][edges[0] : edges[-1]] == number
    row = np.repeat(np.arange(stop - start), np.diff(edges))
    found = np.zeros(stop - start)
    found[row[chosen]] = stored["data"][edges[0] : edges[-1]][chosen]
    return found
