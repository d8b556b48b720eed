"""Human or mouse mRNA levels from promoter and half-life features: Xpresso's .h5 files or its source table.

Given the folder of train.h5, valid.h5 and test.h5 (data (n, 8), promoter (n, 20000, 4), label and geneName):
train and valid are for training, test holds the private test rows, all values as they are. Reading them needs
h5py. Or given the table they were made of, plain or gzipped, which needs nothing:

    python -m data_prep xpresso pM10Kb_1KTest/
    python -m data_prep xpresso Roadmap_FantomAnnotations.InputData.pM10Kb.txt.gz --test-genes 1000 --seed 1

From the table, log10(x + 0.1) is taken of the expression, the four lengths and the exon density, and then the
z-score of all nine columns. Two things are our own choice: mean and standard deviation are of the training
rows alone (Xpresso's are of all), and the test genes are drawn by --seed (so they are not those of test.h5).
The means and deviations are written into the challenge's public/README.md. Histone genes, which Xpresso
drops, are kept, as the table does not mark them.

The inputs are half_life (8,) and the sequence, 20,000 bases with the start site at the origin 10,000: Xpresso
looks at the window (-7000, 3500). A gene is a group; paralogs may be on both sides of the split.
"""

import argparse
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from competition.data.declaration import Declaration, Score, Target
from competition.data.store import StoreWriter
from competition.data.tokens import ILLEGAL, N
from competition.data.writer import ChallengeWriter, create_challenge
from data_prep.reading.files import open_bytes
from data_prep.reading.letters import encode_line

LENGTH = 20_000  # bases
ORIGIN = LENGTH // 2
FEATURES = (
    "UTR5LEN", "CDSLEN", "INTRONLEN", "UTR3LEN", "UTR5GC", "CDSGC", "UTR3GC", "ORFEXONDENSITY"
)  # fmt: skip
NUMBERS = ("EXPRESSION", *FEATURES)
LOGGED = ("EXPRESSION", "UTR5LEN", "CDSLEN", "INTRONLEN", "UTR3LEN", "ORFEXONDENSITY")
COLUMNS = ("ENSID", *NUMBERS, "PROMOTER")
OFFSET = 0.1  # added before the logarithm
UNIT = "z-score of log10(expression + 0.1)"
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


class Scale(NamedTuple):
    """Mean and standard deviation (9,) of the columns NUMBERS."""

    mean: np.ndarray
    deviation: np.ndarray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command-line options."""
    add = parser.add_argument
    add("path", type=Path, help="folder of train.h5, valid.h5 and test.h5, or the source table")
    add("--test-genes", type=int, default=1_000, help="of the table: test rows (default: %(default)s)")
    add("--seed", type=int, default=1, help="of the table: draws the test genes (default: %(default)s)")
    add("--name", default="xpresso", help="name of the challenge (default: %(default)s)")


def prepare(options: argparse.Namespace) -> None:
    """Build the challenge that the command line asks for, and say what it holds."""
    folder = options.output or Path("data") / options.name
    if not options.path.exists():
        raise InputError(f"{options.path} does not exist; wanted a folder of .h5 files, or the source table")
    with create_challenge(folder, declare(options.name), overwrite=options.overwrite) as writer:
        if options.path.is_dir():
            write_h5(writer, options.path)
        else:
            write_table(writer, options.path, num_test=options.test_genes, seed=options.seed)
        counts = writer.train.num_rows, writer.test.num_rows
    print(f"{folder}: {counts[0]:,} training rows, {counts[1]:,} test rows")


def declare(name: str) -> Declaration:
    """Return the declaration: Xpresso reports the squared Pearson correlation."""
    return Declaration(
        name=name,
        title="mRNA levels from promoter and half-life features",
        source="Agarwal and Shendure, Cell Reports 2020 (Xpresso)",
        targets=(Target("expression", UNIT),),
        scores=(
            Score.of("pearson_r2"),
            Score.of("pearson"),
            Score.of("spearman"),
            Score.of("mse", unit="standard deviations"),
            Score.of("r2"),
        ),
        origin=ORIGIN,
        inputs={"half_life": (len(FEATURES),)},
        # Repeats such as Alu are in most windows of this length and would make one family of them all.
        near_duplicates=False,
    )


def append(store: StoreWriter, rows: Rows, *, labelled: bool) -> None:
    """Append some genes to a part of the challenge; labels are for training rows only."""
    if rows.genes:
        store.append(
            rows.tokens,
            np.full(len(rows.genes), LENGTH),
            target=rows.label if labelled else None,
            inputs={"half_life": rows.half_life},
            rows={"id": rows.genes, "group": rows.genes},
        )


def answers_of(genes: list[str], label: np.ndarray) -> pd.DataFrame:
    """Return the answers of test rows."""
    return pd.DataFrame({"id": genes, "expression": label, "usage": "private"})


# The .h5 files


def write_h5(writer: ChallengeWriter, folder: Path) -> None:
    """Write the rows of the three files."""
    h5py = import_h5py()
    known: set[str] = set()
    for name in ("train", "valid"):
        for rows in read_h5(h5py, folder / f"{name}.h5"):
            append(writer.train, rows, labelled=True)
            known.update(rows.genes)
    answers = []
    for rows in read_h5(h5py, folder / "test.h5"):
        both = known.intersection(rows.genes)
        if both:
            raise InputError(
                f"{folder / 'test.h5'} has gene {min(both)}, as training rows have; wanted others"
            )
        append(writer.test, rows, labelled=False)
        answers.append(answers_of(rows.genes, rows.label))
    writer.write_answers(pd.concat(answers))


def import_h5py() -> ModuleType:
    """Import h5py, which not every user needs."""
    try:
        import h5py
    except ImportError:
        raise InputError(
            "reading .h5 files needs h5py; run: pip install 'expression-competition[h5]'"
        ) from None
    module: ModuleType = h5py
    return module


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


def make_rows(block: dict[str, Any], path: Path) -> Rows:
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
    tokens = BASE_OF_SUM[bits[..., 0] | bits[..., 1] << 1 | bits[..., 2] << 2 | bits[..., 3] << 3]
    if tokens.max() == ILLEGAL:
        row, position = (int(index[0]) for index in np.nonzero(tokens == ILLEGAL))
        raise InputError(
            f"{path}: gene {genes[row]} has several bases at position {position} of its promoter; wanted one"
        )
    return tokens


# The source table


def write_table(writer: ChallengeWriter, path: Path, *, num_test: int, seed: int) -> None:
    """Write the rows of the table in two passes: one finds its numbers' scale, one cuts its promoters."""
    genes, numbers = read_numbers(path)
    if not 0 < num_test < len(genes) - 1:
        raise InputError(
            f"--test-genes {num_test}: {path} has {len(genes):,} genes; wanted 1 to {len(genes) - 2:,}"
        )
    test = np.zeros(len(genes), dtype=bool)
    test[np.random.default_rng(seed).permutation(len(genes))[:num_test]] = True
    scale = find_scale(numbers[~test], path)
    numbers = (numbers - scale.mean) / scale.deviation
    start = 0
    for tokens in read_promoters(path):
        block = slice(start, start + len(tokens))
        rows = Rows(genes[block], tokens, numbers[block, 1:], numbers[block, 0])
        append(writer.train, rows.take(~test[block]), labelled=True)
        append(writer.test, rows.take(test[block]), labelled=False)
        start += len(tokens)
    test_genes = [gene for gene, is_test in zip(genes, test, strict=True) if is_test]
    writer.write_answers(answers_of(test_genes, numbers[test, 0]))
    text = describe(scale, num_train=int((~test).sum()), seed=seed)
    (writer.folder / "public" / "README.md").write_text(text, encoding="utf-8")


def read_lines(path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield (file and line, cells by column) of every gene."""
    columns: list[str] = []
    try:
        with open_bytes(path) as file:
            for line, text in enumerate(file, start=1):
                where, cells = f"{path}: line {line}", text.rstrip(b"\r\n").split(b"\t")
                if line == 1:
                    columns = [cell.decode("utf-8", "replace") for cell in cells]
                    _check_columns(columns, path)
                elif len(cells) != len(columns):
                    raise InputError(
                        f"{where} has {len(cells)} columns; wanted {len(columns)}, as the header"
                    )
                else:
                    yield where, dict(zip(columns, cells, strict=True))
    except (EOFError, zlib.error, OSError) as error:
        raise InputError(f"{path} is damaged or cut off: {error}; download it again") from None


def _check_columns(columns: list[str], path: Path) -> None:
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        there = ", ".join(columns)[:200]
        raise InputError(f"{path} has no column {', '.join(missing)}, separated by TAB; it has {there}")


def read_numbers(path: Path) -> tuple[list[str], np.ndarray]:
    """Return the genes and their numbers (N, 9), expression first, after the logarithm where one is taken."""
    first: dict[str, str] = {}
    numbers = []
    for where, cells in read_lines(path):
        gene = cells["ENSID"].decode("utf-8", "replace")
        if not gene or gene in first:
            raise InputError(f"{where} has the ENSID {gene!r}; wanted each gene once{first.get(gene, '')}")
        first[gene] = f", it was in {where.rpartition(': ')[2]}"
        numbers.append([_number(cells[name], name, where) for name in NUMBERS])
    if not numbers:
        raise InputError(f"{path} has no genes; wanted a header and rows")
    values = np.array(numbers)
    logged = [NUMBERS.index(name) for name in LOGGED]
    values[:, logged] = np.log10(values[:, logged] + OFFSET)
    return list(first), values


def _number(cell: bytes, name: str, where: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = np.nan
    if not np.isfinite(value) or (name in LOGGED and value < 0):
        wanted = "a number from 0" if name in LOGGED else "a finite number"
        raise InputError(f"{where} has the {name} {cell[:20].decode('utf-8', 'replace')!r}; wanted {wanted}")
    return value


def find_scale(numbers: np.ndarray, path: Path) -> Scale:
    """Return mean and standard deviation of training rows (N, 9)."""
    scale = Scale(numbers.mean(axis=0), numbers.std(axis=0))
    same = np.ptp(numbers, axis=0) == 0
    if same.any():
        raise InputError(
            f"{path}: {NUMBERS[same.argmax()]} is the same in every training row; wanted variation"
        )
    return scale


def read_promoters(path: Path) -> Iterator[np.ndarray]:
    """Yield the tokens (n, 20000) of the promoters, some at a time."""
    block = []
    for where, cells in read_lines(path):
        block.append(encode_line(cells["PROMOTER"], length=LENGTH, where=where))
        if len(block) == BLOCK_ROWS:
            yield np.stack(block)
            block = []
    if block:
        yield np.stack(block)


def describe(scale: Scale, *, num_train: int, seed: int) -> str:
    """Return a README that says how the numbers were scaled, so that others can be scaled alike."""
    lines = [
        f"The z-scores are (x - mean) / deviation over the {num_train:,} training rows; the test genes were",
        f"drawn with seed {seed}. x is log10(value + {OFFSET}) where a logarithm is marked, else the value.",
        "",
        "| column | logarithm | mean | standard deviation |",
        "|---|---|---|---|",
    ]
    for name, mean, deviation in zip(NUMBERS, *scale, strict=True):
        lines.append(
            f"| {name} | {'yes' if name in LOGGED else ''} | {float(mean)!r} | {float(deviation)!r} |"
        )
    return "\n".join(lines) + "\n"
