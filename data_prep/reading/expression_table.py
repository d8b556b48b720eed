"""Read tables of expression, genes by tissues: CSV as ExPecto has them, or GCT as GTEx does."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from competition.base.errors import InputError, one_of
from data_prep.reading.delimited import read_table, refuse
from data_prep.reading.files import open_bytes

GCT_COLUMNS = ["Name", "Description"]
GCT_HEAD_LINES = 2  # "#1.2" and the size of the table


class Expression(NamedTuple):
    """What was measured: value (G, T) of each gene, and in which unit."""

    genes: list[str]
    tissues: tuple[str, ...]
    value: np.ndarray
    unit: str


def read_expression(path: Path, tissues: list[str] | None) -> Expression:
    """Read a table of genes by tissues, CSV or GCT; InputError where a value is no number from 0."""
    is_gct = ".gct" in path.suffixes
    table = _read_gct(path) if is_gct else read_table(path)
    known = list(table.columns[len(GCT_COLUMNS) :] if is_gct else table.columns[1:])
    chosen = list(dict.fromkeys(tissues or known))
    for tissue in chosen:
        if tissue not in known:
            raise one_of(f"tissue in {path}", tissue, known)
    value = np.empty((len(table), len(chosen)))
    for column, tissue in enumerate(chosen):
        value[:, column] = _numbers(table[tissue], path)
    return Expression(table.iloc[:, 0].to_list(), tuple(chosen), value, "TPM" if is_gct else "RPKM")


def _read_gct(path: Path) -> pd.DataFrame:
    """Read a GCT file (Broad Institute): two lines about the table, then the table, separated by TAB."""
    with open_bytes(path) as file:
        try:
            version, size = (
                file.readline().decode("utf-8", "replace").strip() for _ in range(GCT_HEAD_LINES)
            )
            if version != "#1.2":
                raise InputError(f"{path} begins with {version[:20]!r}; wanted '#1.2', a GCT file")
            table = pd.read_csv(file, sep="\t", dtype=str, keep_default_na=False, index_col=False)
        except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise InputError(f"{path} is not a table: {str(error).strip()}") from None
    got = f"{len(table)}\t{table.shape[1] - len(GCT_COLUMNS)}"
    if list(table.columns[:2]) != GCT_COLUMNS or size.split("\t")[:2] != got.split("\t"):
        raise InputError(
            f"{path}: line 2 says {size!r}, the table has {got!r} (genes, tissues) and the columns "
            f"{', '.join(table.columns[:2])}, ...; wanted the same size, and {', '.join(GCT_COLUMNS)}"
        )
    table.index = pd.RangeIndex(GCT_HEAD_LINES + 2, len(table) + GCT_HEAD_LINES + 2)
    return table[~table.Name.str.endswith("_PAR_Y")]  # chrY's copies of genes that chrX has too


def _numbers(column: pd.Series, path: Path) -> np.ndarray:
    values: np.ndarray = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    refuse(~(np.isfinite(values) & (values >= 0)), column, path, "a finite number from 0")
    return values
