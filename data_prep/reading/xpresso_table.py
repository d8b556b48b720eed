"""Read Xpresso's source table, separated by TAB: genes, their numbers and their promoters."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from competition.base.errors import InputError
from data_prep.reading.files import open_bytes
from data_prep.reading.letters import encode_line
from data_prep.reading.numbers import is_number
from data_prep.standards.mrna_features import FEATURES, LENGTH

NUMBERS = ("EXPRESSION", *FEATURES)
LOGGED = ("EXPRESSION", "UTR5LEN", "CDSLEN", "INTRONLEN", "UTR3LEN", "ORFEXONDENSITY")
COLUMNS = ("ENSID", *NUMBERS, "PROMOTER")
OFFSET = 0.1  # added before the logarithm
BLOCK_ROWS = 256


def read_lines(path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield (file and line, cells by column) of every gene."""
    columns: list[str] = []
    with open_bytes(path) as file:
        for line, text in enumerate(file, start=1):
            where, cells = f"{path}: line {line}", text.rstrip(b"\r\n").split(b"\t")
            if line == 1:
                columns = [cell.decode("utf-8", "replace") for cell in cells]
                _check_columns(columns, path)
            elif len(cells) != len(columns):
                raise InputError(f"{where} has {len(cells)} columns; wanted {len(columns)}, as the header")
            else:
                yield where, dict(zip(columns, cells, strict=True))


def _check_columns(columns: list[str], path: Path) -> None:
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        there = ", ".join(columns)[:200]
        raise InputError(f"{path} has no column {', '.join(missing)}, separated by TAB; it has {there}")


def read_genes(path: Path) -> tuple[list[str], np.ndarray]:
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
    value = float(cell) if is_number(cell) else np.nan
    if not np.isfinite(value) or (name in LOGGED and value < 0):
        wanted = "a number from 0" if name in LOGGED else "a finite number"
        raise InputError(f"{where} has the {name} {cell[:20].decode('utf-8', 'replace')!r}; wanted {wanted}")
    return value


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
