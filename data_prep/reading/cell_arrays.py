"""Read .npz files keyed by cell type, whose arrays hold the histone marks of its genes in bins."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from competition.base.errors import InputError
from data_prep.standards.roadmap_marks import MARKS, NUM_BINS


class Cell(NamedTuple):
    """The genes of a cell: ids, histone (n, 5, 100) and expression (n,), None where the file has none."""

    name: str
    genes: np.ndarray
    histone: np.ndarray
    expression: np.ndarray | None

    def take(self, rows: np.ndarray) -> "Cell":
        expression = None if self.expression is None else self.expression[rows]
        return Cell(self.name, self.genes[rows], self.histone[rows], expression)

    @property
    def ids(self) -> list[str]:
        return [f"{self.name}_{gene}" for gene in self.genes]


def read_cells(path: Path, *, labelled: bool) -> Iterator[Cell]:
    """Yield the cells of an .npz file one after the other: no two are in memory."""
    try:
        arrays = np.load(path, allow_pickle=False)
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise InputError(f"{path} is a single array; wanted an .npz file with an array for each cell")
        with arrays:
            for name in arrays.files:
                yield make_cell(arrays[name], name, path, labelled=labelled)
    except InputError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} cannot be read as an .npz file of numbers: {error}") from None


def make_cell(array: np.ndarray, name: str, path: Path, *, labelled: bool) -> Cell:
    """Split an array (genes, 100, 7) into its columns; InputError names the cell and gene of a mistake."""
    where = f"{path}: cell {name}"
    widths = (2 + len(MARKS),) if labelled else (1 + len(MARKS), 2 + len(MARKS))
    if array.ndim != 3 or array.shape[1] != NUM_BINS or array.shape[2] not in widths or not len(array):
        wanted = " or ".join(f"(genes, {NUM_BINS}, {width})" for width in widths)
        raise InputError(f"{where} has an array {array.shape}; wanted {wanted}")
    if array.dtype.kind not in "fiu":
        raise InputError(f"{where} has an array of {array.dtype}; wanted numbers")
    genes = array[:, :, 0]
    whole = np.isfinite(genes) & (genes >= 0) & (genes == np.floor(genes))
    _refuse(~whole.all(axis=1), "an id that is not a whole number", where, genes[:, 0])
    _refuse((genes != genes[:, :1]).any(axis=1), "different ids in its bins", where, genes[:, 0])
    ids = genes[:, 0].astype(np.int64)
    last, first = len(ids) - 1, np.unique(ids, return_index=True)[1]
    _refuse(~np.isin(np.arange(last + 1), first), "more than one place", where, ids)
    marks = array[:, :, 1 : 1 + len(MARKS)]
    _refuse(~np.isfinite(marks).all(axis=(1, 2)), "marks that are not finite", where, ids)
    expression = None
    if labelled:
        values = array[:, :, -1]
        expression = values[:, 0]
        _refuse(~np.isfinite(values).all(axis=1), "an expression that is not finite", where, ids)
        _refuse((values != values[:, :1]).any(axis=1), "different expression in its bins", where, ids)
    return Cell(name, ids, np.ascontiguousarray(marks.transpose(0, 2, 1), dtype=np.float32), expression)


def _refuse(bad: np.ndarray, what: str, where: str, genes: np.ndarray) -> None:
    if bad.any():
        gene = genes[bad.argmax()]
        raise InputError(f"{where}: gene {gene:.12g} has {what} ({bad.sum():,} in all); "
                         "wanted one id, finite marks and one expression in a gene's bins")  # fmt: skip
