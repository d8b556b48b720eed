"""Split rows by homology cluster and group: into training and test rows, public and private ones."""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from competition.base.errors import InputError
from competition.data.declaration import Declaration
from competition.data.folds import group_keys
from competition.data.hashing import hash_text, mix
from competition.data.homology import row_clusters
from competition.data.store import Store
from competition.data.store_writer import StoreWriter
from data_prep.reading.delimited import refuse
from data_prep.reading.rows import Assign, Piece, Table
from data_prep.reading.sequences import encode_rows


def split_rows(table: Table, declaration: Declaration, options: argparse.Namespace, scratch: Path) -> None:
    """Add the steps that the options ask for; of the declaration, sequences and near_duplicates count."""
    check_fractions(table, options)
    if not (options.test_fraction or options.public_fraction or options.drop_test_homologs):
        return
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        store, usage = write_scratch(table, declaration, Path(folder) / "rows")
        notes = []
        if options.test_fraction or options.public_fraction:
            key = group_keys(store, declaration, None)
            notes += assign_usage(usage, key, options.test_fraction, options.public_fraction or 0)
        if options.drop_test_homologs:
            notes.append(drop_homologs(usage, store, declaration))
    table.steps.append(Assign(usage, "\n".join(notes)))


def check_fractions(table: Table, options: argparse.Namespace) -> None:
    """Raise InputError for a fraction that is none, or where the rows say already what they are for."""
    for name in ("test", "public"):
        fraction = getattr(options, f"{name}_fraction")
        if fraction is None:
            continue
        if not 0 < fraction < 1:
            raise InputError(f"--{name}-fraction {fraction}: wanted a number between 0 and 1, such as 0.1")
        if table.columns.usage:
            raise InputError(
                f"--{name}-fraction {fraction}: the column {table.columns.usage!r} says that already"
            )
    if options.test_fraction and (options.test or any(file.usage == "private" for file in table.files)):
        raise InputError(f"--test-fraction {options.test_fraction}: --test says that already; wanted one")


def write_scratch(table: Table, declaration: Declaration, folder: Path) -> tuple[Store, np.ndarray]:
    """Write the sequences and groups of all rows to disk; also return what each row is for (N,)."""
    group, usage = table.columns.group, [np.empty(0, dtype="U7")]
    writer = StoreWriter(folder, inputs={}, num_targets=0, sequences=declaration.sequences)
    for piece in table.pieces():
        first = writer.num_rows
        rows = {"id": [str(first + number) for number in range(len(piece.rows))]}
        if group is not None:
            rows["group"] = groups_of(piece, group)
        tokens, lengths = encode_rows(piece, table.columns)
        writer.append(tokens, lengths, rows=rows)
        usage.append(piece.usage.to_numpy(dtype="U7"))
    if not writer.num_rows:
        raise InputError(f"{table.where}: no row is taken; check --where")
    writer.close()
    return Store(folder, [], declaration.sequences), np.concatenate(usage)


def groups_of(piece: Piece, column: str) -> list[str]:
    """Return the groups of rows; a test row without one is one of its own, a training row must have one."""
    groups = piece.rows[column]
    empty = groups == ""
    bad = empty & (piece.usage == "train")
    refuse(bad, groups, piece.path, "a group for every training row")
    named: list[str] = groups.where(~empty, "row " + piece.ids).to_list()
    return named


def assign_usage(usage: np.ndarray, key: np.ndarray, test: float | None, public: float) -> list[str]:
    """Draw test rows (N,) by the hash of their group (N,), and of the test rows the public ones, in place.

    No row's place depends on the rows of other groups.
    """
    notes = []
    if test:
        usage[draw(key, test, "test")] = "private"
        notes.append("test split: " + share(usage != "train", key, test))
    tested = usage != "train"
    if not tested.any() or tested.all():
        raise InputError(
            f"{'no' if not tested.any() else 'every'} row is a test row, of {len(usage):,} rows in "
            f"{len(np.unique(key)):,} clusters that stay whole; wanted "
            + ("more clusters, or another --test-fraction" if test else "some, by --test or --test-fraction")
        )
    if public:
        usage[tested & draw(key, public, "public")] = "public"
        notes.append("public answers: " + share((usage == "public")[tested], key[tested], public))
    return notes


def draw(key: np.ndarray, fraction: float, name: str) -> np.ndarray:
    """Choose about this fraction of the groups, by a hash of their key and a name: a mask (N,)."""
    uniform = (mix(key ^ hash_text([name])) >> np.uint64(11)).astype(np.float64) / 2**53
    return np.asarray(uniform < fraction)


def share(chosen: np.ndarray, key: np.ndarray, wanted: float) -> str:
    """Say how many rows were chosen, how many were wanted, and what the largest group has to do with it."""
    largest = np.unique(key, return_counts=True)[1].max()
    got = chosen.mean()
    text = f"{chosen.sum():,} of {len(chosen):,} rows ({got:.1%}, asked for {wanted:.1%})"
    text += f" in {len(np.unique(key[chosen])):,} of {len(np.unique(key)):,} clusters"
    return text + (f"; the largest has {largest:,} rows" if abs(got - wanted) > wanted / 4 else "")


def drop_homologs(usage: np.ndarray, store: Store, declaration: Declaration) -> str:
    """Drop the training rows (N,) that share a homology cluster with a test row, in place; say how many."""
    tested = usage != "train"
    if not tested.any():
        raise InputError("--drop-test-homologs: no row is a test row; add --test or --test-fraction")
    [found] = row_clusters([store], near_duplicates=declaration.near_duplicates)
    drop = ~tested & np.isin(found.number, found.number[tested]).any(axis=1)
    usage[drop] = ""
    return f"dropped {drop.sum():,} of {np.sum(~tested):,} training rows that are homologous to test rows"
