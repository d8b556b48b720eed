"""Read DeepChrome's files: which cell and split they are of, and their lines grouped into genes."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from data_prep.reading.delimited import require_columns
from data_prep.reading.files import open_bytes
from data_prep.reading.numbers import is_number
from data_prep.standards.roadmap_marks import MARKS, NUM_BINS

COLUMNS = ("gene_id", "bin", *MARKS, "label")
SPLITS = ("train", "valid", "test")
ENDS = (".csv", ".csv.gz")
CHUNK_GENES = 1_000


class Part(NamedTuple):
    """A file of one cell, and which split its rows are; None where a column says so."""

    path: Path
    cell: str
    split: str | None


class Layout(NamedTuple):
    """The columns of a file, what separates them, and whether they have a header."""

    columns: tuple[str, ...]
    separator: str
    header: bool


class Genes(NamedTuple):
    """Some genes: ids, histone (n, 5, 100) float32, label (n,) float32 and split."""

    ids: list[str]
    histone: np.ndarray
    label: np.ndarray
    split: np.ndarray


def find_parts(path: Path) -> list[Part]:
    """Find the files of a folder of cells, of one cell, or a single file."""
    if not path.is_dir():
        return [single_file(path)]
    path = path.resolve()  # the name of "." is the cell
    own = split_files(path, path.parent.name if path.name == "classification" else path.name)
    own = own or split_files(path / "classification", path.name)
    if own:
        return own
    cells = [child for child in sorted(path.iterdir()) if child.is_dir()]
    parts = [part for cell in cells for part in split_files(cell / "classification", cell.name)]
    if not parts:
        raise InputError(
            f"{path} holds no <cell>/classification/train.csv; wanted DeepChrome's folder or files"
        )
    return parts


def split_files(folder: Path, cell: str) -> list[Part]:
    """Return the files of one cell; InputError where some of the three are missing."""
    found = [(s, [p for end in ENDS if (p := folder / f"{s}{end}").exists()]) for s in SPLITS]
    parts = [Part(paths[0], cell, split) for split, paths in found if paths]
    if parts and len(parts) < len(SPLITS):
        missing = ", ".join(f"{split}.csv" for split, paths in found if not paths)
        raise InputError(f"{folder} has no {missing}; wanted {', '.join(f'{s}.csv' for s in SPLITS)}")
    return parts


def single_file(path: Path) -> Part:
    """Name the cell and the split of a file by where it lies; a file of another name is for training."""
    stem = path.name.split(".")[0]
    if stem not in SPLITS:
        return Part(path, stem, None)
    folder = path.resolve().parent
    return Part(path, folder.parent.name if folder.name == "classification" else folder.name, stem)


def read_genes(part: Part) -> Iterator[Genes]:
    """Yield the genes of a file some at a time; InputError names the line or gene of a mistake."""
    layout = find_layout(part.path)
    line = 1 + layout.header
    types = {name: str if name in ("gene_id", "split") else np.float64 for name in layout.columns}
    with open_bytes(part.path) as file, warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # a row that is too long
        try:
            chunks = pd.read_csv(
                file, sep=layout.separator, header=None, names=list(layout.columns), dtype=types,
                skiprows=int(layout.header), keep_default_na=False, index_col=False,
                skip_blank_lines=False, chunksize=CHUNK_GENES * NUM_BINS,
            )  # fmt: skip
            for chunk in chunks:
                yield make_genes(chunk, part, line)
                line += len(chunk)
        except (ValueError, pd.errors.ParserWarning) as error:  # pandas does not say in which line
            if isinstance(error, InputError):
                raise
            raise find_mistake(part.path, layout, error) from None


def find_layout(path: Path) -> Layout:
    """Detect the separator and a header from the first line."""
    with open_bytes(path) as file:
        first = file.readline().decode("utf-8", "replace").rstrip("\r\n")
    if not first:
        raise InputError(f"{path} is empty; wanted lines of {','.join(COLUMNS)}")
    separator = "\t" if "\t" in first else ","
    cells = first.split(separator)
    if "bin" not in cells and "label" not in cells:
        return Layout(COLUMNS, separator, False)
    require_columns(COLUMNS, cells, path)
    return Layout(tuple(cells), separator, True)


def find_mistake(path: Path, layout: Layout, reason: Exception) -> InputError:
    """Say which line of a file cannot be read."""
    with open_bytes(path) as file:
        for line, text in enumerate(file, start=1):
            cells = text.decode("utf-8", "replace").rstrip("\r\n").split(layout.separator)
            if line == 1 and layout.header:
                continue
            if len(cells) != len(layout.columns):
                wanted = f"{len(layout.columns)}: {','.join(layout.columns)}"
                return InputError(f"{path}: line {line} has {len(cells)} columns; wanted {wanted}")
            for name, cell in zip(layout.columns, cells, strict=True):
                if name in COLUMNS[1:] and not is_number(cell):
                    return InputError(f"{path}: line {line} has the {name} {cell!r}; wanted a number")
    return InputError(f"{path} is not a table: {str(reason).strip()}")


def make_genes(chunk: pd.DataFrame, part: Part, line: int) -> Genes:
    """Group lines into genes: every 100 lines are one gene, its bins in order, its label in each of them."""
    ids = chunk["gene_id"].to_numpy(dtype=object)
    starts = np.arange(0, len(chunk), NUM_BINS)
    bins, label = chunk["bin"].to_numpy(), chunk["label"].to_numpy()
    gene = starts.repeat(NUM_BINS)[: len(chunk)]  # the first line of each line's gene
    counts = chunk[list(MARKS)].to_numpy()
    wanted_bin = np.arange(len(chunk)) % NUM_BINS + 1
    for bad, what, wanted in (
        ((ids != ids[gene]) | (bins != wanted_bin), "bin", "bin {bin} of gene {gene}"),
        (~np.isfinite(counts).all(axis=1), "counts", "finite numbers"),
        (~np.isin(label, (0, 1)) | (label != label[gene]), "label", "0 or 1, the same in every bin"),
    ):
        if bad.any():
            row = int(bad.argmax())
            got = counts[row].tolist() if what == "counts" else f"{chunk[what].iloc[row]:g}"
            raise InputError(
                f"{part.path}: line {line + row} (gene {ids[row]}) has the {what} {got}; "
                f"wanted {wanted.format(bin=wanted_bin[row], gene=ids[gene[row]])}"
            )
    if len(chunk) % NUM_BINS:
        raise InputError(
            f"{part.path}: the last gene, {ids[-1]}, has {len(chunk) % NUM_BINS} lines; wanted {NUM_BINS}"
        )
    histone: np.ndarray = counts.reshape(-1, NUM_BINS, len(MARKS)).transpose(0, 2, 1).astype(np.float32)
    return Genes(ids[starts].tolist(), histone, label[starts], _splits(chunk, part, line)[starts])


def _splits(chunk: pd.DataFrame, part: Part, line: int) -> np.ndarray:
    if "split" not in chunk:
        return np.full(len(chunk), part.split or "train", dtype=object)
    splits: np.ndarray = chunk["split"].to_numpy(dtype=object)
    bad = ~np.isin(splits, SPLITS)
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"{part.path}: line {line + row} has the split {splits[row]!r}; wanted {', '.join(SPLITS)}"
        )
    return splits
