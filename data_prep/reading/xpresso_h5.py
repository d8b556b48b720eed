"""Read Xpresso's .h5 files: data, promoter, label and geneName, some genes at a time."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np

from competition.base.errors import InputError
from competition.data.tokens import ILLEGAL, N
from data_prep.reading.extras import import_extra
from data_prep.standards.mrna_features import FEATURES, LENGTH

BLOCK_ROWS = 256  # 20 MB of promoter as it is in the .h5 files
# Column sum of A 1, C 2, G 4, T 8 -> token; a column of zeros is N, more than one base is an error.
BASE_OF_SUM = np.full(16, ILLEGAL, dtype=np.uint8)
BASE_OF_SUM[[0, 1, 2, 4, 8]] = N, 0, 1, 2, 3


class Rows(NamedTuple):
    """Some genes: ids, tokens (n, 20000) uint8, half_life (n, 8) and label (n,)."""

    genes: list[str]
    tokens: np.ndarray
    half_life: np.ndarray
    label: np.ndarray

    def take(self, rows: np.ndarray) -> "Rows":
        genes = [gene for gene, wanted in zip(self.genes, rows, strict=True) if wanted]
        return Rows(genes, self.tokens[rows], self.half_life[rows], self.label[rows])


def import_h5py() -> ModuleType:
    """Import h5py, which not every user needs."""
    return import_extra("h5py", "h5", ".h5 files")


def read_h5(h5py: ModuleType, path: Path) -> Iterator[Rows]:
    """Yield the genes of a file some at a time."""
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path} cannot be read as HDF5: {error}") from None
    with closing(file):
        names = ("data", "promoter", "label", "geneName")
        missing = [name for name in names if not isinstance(file.get(name), h5py.Dataset)]
        if missing:
            raise InputError(f"{path} has no {', '.join(missing)}; it has {', '.join(file) or 'nothing'}")
        count = len(file["geneName"]) if file["geneName"].ndim else 0
        wanted = {"data": (count, len(FEATURES)), "promoter": (count, LENGTH, 4), "label": (count,)}
        for name, shape in {**wanted, "geneName": (count,)}.items():
            if file[name].shape != shape or not count:
                raise InputError(
                    f"{path}: {name} is {file[name].shape}; wanted {shape}, and at least one row"
                )
        for start in range(0, count, BLOCK_ROWS):
            try:
                block = {name: file[name][start : start + BLOCK_ROWS] for name in names}
            except OSError as error:
                raise InputError(f"{path} is damaged or cut off: {error}; download it again") from None
            yield make_rows(block, path)


def make_rows(block: dict[str, np.ndarray], path: Path) -> Rows:
    """Turn a block of the arrays into rows; InputError names the gene of a mistake."""
    genes = [gene.decode() if isinstance(gene, bytes) else str(gene) for gene in block["geneName"].tolist()]
    for name in ("data", "label"):
        if block[name].dtype.kind not in "fiu":
            raise InputError(f"{path}: {name} is of {block[name].dtype}; wanted numbers")
        bad = ~np.isfinite(block[name]).reshape(len(genes), -1).all(axis=1)
        if bad.any():
            raise InputError(f"{path}: gene {genes[bad.argmax()]} has {name} that is not finite")
    return Rows(genes, to_tokens(block["promoter"], genes, path), block["data"], block["label"])


def to_tokens(promoter: np.ndarray, genes: list[str], path: Path) -> np.ndarray:
    """Turn one-hot promoters (n, 20000, 4), in the order A C G T, into tokens (n, 20000); zeros are N."""
    if promoter.dtype != bool:
        bad = ((promoter != 0) & (promoter != 1)).any(axis=(1, 2))
        if bad.any():
            raise InputError(f"{path}: gene {genes[bad.argmax()]} has a promoter that is not of 0 and 1")
    bits = promoter.astype(np.uint8)
    tokens: np.ndarray = BASE_OF_SUM[bits[..., 0] | bits[..., 1] << 1 | bits[..., 2] << 2 | bits[..., 3] << 3]
    if tokens.max() == ILLEGAL:
        row, position = (int(index[0]) for index in np.nonzero(tokens == ILLEGAL))
        raise InputError(
            f"{path}: gene {genes[row]} has several bases at position {position} of its promoter; wanted one"
        )
    return tokens
