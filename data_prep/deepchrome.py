"""Histone marks around genes, high or low expression: DeepChrome's CSV files, one cell type or all 56.

Given the folder of Zenodo 2652278 (<cell>/classification/{train,valid,test}.csv), one cell's folder, or
single files, plain or gzipped. A file has no header and the columns gene id, bin (1..100), the counts of
H3K27me3, H3K36me3, H3K4me1, H3K4me3 and H3K9me3, and the label (1: above the cell's median expression); with
a header the columns go by their names, and a column "split" says which rows are train, valid or test.

    python -m data_prep deepchrome data/ --cell E003 --cell E116

The input is histone (5, 100), the target is label. Rows of train and valid are for training, those of test
are the private test rows; a gene stays in one fold in all cells.
"""

import argparse
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from competition.base.errors import InputError, one_of
from competition.data.declaration import Declaration, Score, Target
from competition.data.store import StoreWriter
from competition.data.tokens import encode
from competition.data.writer import ChallengeWriter, create_challenge
from data_prep.reading.files import open_bytes

MARKS = ("H3K27me3", "H3K36me3", "H3K4me1", "H3K4me3", "H3K9me3")
NUM_BINS = 100  # of 100 bp each, around the start site
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
    """How a file is written."""

    columns: tuple[str, ...]
    separator: str
    header: bool


class Genes(NamedTuple):
    """Some genes: ids, histone (n, 5, 100) float32, label (n,) float32 and split."""

    ids: list[str]
    histone: np.ndarray
    label: np.ndarray
    split: np.ndarray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command-line options."""
    add = parser.add_argument
    add("paths", type=Path, nargs="+", help="the folder of all cells, one cell's folder, or files")
    add("--cell", action="append", metavar="NAME", help="take this cell only; repeatable (default: all)")
    add("--name", default="deepchrome", help="name of the challenge (default: %(default)s)")


def prepare(options: argparse.Namespace) -> None:
    """Build the challenge that the command line asks for, and say what it holds."""
    folder = options.output or Path("data") / options.name
    parts = choose_cells([part for path in options.paths for part in find_parts(path)], options.cell)
    counts = dict.fromkeys(SPLITS, 0)
    answers = []
    with create_challenge(folder, declare(options.name, parts), overwrite=options.overwrite) as writer:
        for part in parts:
            for genes in read_genes(part):
                answers.append(write(writer, genes, part.cell))
                for split in SPLITS:
                    counts[split] += int((genes.split == split).sum())
        if counts["test"]:
            writer.write_answers(pd.concat(answers)[["id", "label", "usage", "group"]])
            writer.write_subsets(subsets(pd.concat(answers), writer.declaration))
    cells = len({part.cell for part in parts})
    train = counts["train"] + counts["valid"]
    print(f"{folder}: {cells} cells, {train:,} training rows, {counts['test']:,} test rows")


def declare(name: str, parts: list[Part]) -> Declaration:
    """Return the declaration; with several cells that have a test file, a score is the mean over them."""
    tested = sorted({part.cell for part in parts if part.split == "test"})
    cells = tested if len(tested) > 1 and {part.cell for part in parts} == set(tested) else []
    weights = dict.fromkeys(cells, 1.0)
    return Declaration(
        name=name,
        title="High or low expression from histone marks",
        source="Singh et al., Bioinformatics 2016 (DeepChrome); Roadmap Epigenomics; Zenodo 2652278",
        targets=(Target("label", "1: above the cell's median, 0: not"),),
        scores=(
            Score.of("auroc", weights=weights),
            Score.of("pearson", weights=weights),
            Score.of("mse", weights=weights),
        ),
        inputs={"histone": (len(MARKS), NUM_BINS)},
        subsets=dict.fromkeys(cells, "rows"),
        near_duplicates=False,  # all rows share one sequence, see add_sequence
    )


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


def choose_cells(parts: list[Part], cells: list[str] | None) -> list[Part]:
    """Return the parts of the cells that are wanted."""
    known = sorted({part.cell for part in parts})
    for cell in cells or []:
        if cell not in known:
            raise one_of("cell", cell, known)
    return [part for part in parts if not cells or part.cell in cells]


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
        except (EOFError, zlib.error, OSError) as error:
            raise InputError(f"{part.path} is damaged or cut off: {error}; download it again") from None


def find_layout(path: Path) -> Layout:
    """Look at the first line: TAB or comma, a header or none."""
    with open_bytes(path) as file:
        first = file.readline().decode("utf-8", "replace").rstrip("\r\n")
    if not first:
        raise InputError(f"{path} is empty; wanted lines of {','.join(COLUMNS)}")
    separator = "\t" if "\t" in first else ","
    cells = first.split(separator)
    if "bin" not in cells and "label" not in cells:
        return Layout(COLUMNS, separator, False)
    for name in COLUMNS:
        if name not in cells:
            raise InputError(f"{path} has no column {name!r}; it has {', '.join(cells)}")
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
                if name in COLUMNS[1:] and not _is_number(cell):
                    return InputError(f"{path}: line {line} has the {name} {cell!r}; wanted a number")
    return InputError(f"{path} is not a table: {str(reason).strip()}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def make_genes(chunk: pd.DataFrame, part: Part, line: int) -> Genes:
    """Fold lines into genes: every 100 lines are one gene, its bins in order, its label in each of them."""
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
    histone = counts.reshape(-1, NUM_BINS, len(MARKS)).transpose(0, 2, 1).astype(np.float32)
    return Genes(ids[starts].tolist(), histone, label[starts], _splits(chunk, part, line)[starts])


def _splits(chunk: pd.DataFrame, part: Part, line: int) -> np.ndarray:
    if "split" not in chunk:
        return np.full(len(chunk), part.split or "train", dtype=object)
    splits = chunk["split"].to_numpy(dtype=object)
    bad = ~np.isin(splits, SPLITS)
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"{part.path}: line {line + row} has the split {splits[row]!r}; wanted {', '.join(SPLITS)}"
        )
    return splits


def write(writer: ChallengeWriter, genes: Genes, cell: str) -> pd.DataFrame:
    """Write some genes of a cell; return the answers of those that are test rows, with their cell."""
    ids = np.array([f"{cell}_{gene}" for gene in genes.ids], dtype=object)
    groups = np.array(genes.ids, dtype=object)
    test = genes.split == "test"
    for is_test in (False, True):
        rows = test == is_test
        if rows.any():
            store = writer.test if is_test else writer.train
            add_sequence(store)
            store.append_rows(
                np.zeros(rows.sum(), dtype=np.int32),
                inputs={"histone": genes.histone[rows]},
                target=None if is_test else genes.label[rows],
                rows={"id": ids[rows], "group": groups[rows]},
            )
    columns = {"id": ids[test], "label": genes.label[test], "usage": "private", "group": groups[test]}
    return pd.DataFrame({**columns, "cell": cell})


def add_sequence(store: StoreWriter) -> None:
    """Give a store its one sequence: a store holds sequences, these files none, so all rows share one N."""
    if store.num_rows == 0:
        store.append_sequences(*encode(["N"]))


def subsets(answers: pd.DataFrame, declaration: Declaration) -> pd.DataFrame:
    """Return which test row is in which cell's subset."""
    rows = answers[answers.cell.isin(list(declaration.subsets))]
    return pd.DataFrame({"subset": rows.cell, "id": rows.id, "reference": ""})
