"""Give every training row a fold by a hash of its group, so that homologous sequences stay together."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from competition.base.errors import InputError
from competition.base.files import write_bytes
from competition.data.declaration import Declaration
from competition.data.groups import chain, components, join_columns
from competition.data.hashing import hash_text, mix, scale
from competition.data.homology import row_clusters
from competition.data.store import Store

CACHED_ROWS = 10_000  # with fewer rows the groups are found faster than they are worth keeping
CACHE_VERSION = "2"
NUM_FOLDS = 4  # where neither rows nor --folds say
MANY_FOLDS = 32  # that rows declare: more are a column of something else, such as fold changes


class FoldTable(NamedTuple):
    """The fold of every training row, and the hash of the group that decided it."""

    fold: np.ndarray  # (N,) int64
    key: np.ndarray  # (N,) uint64
    num_folds: int
    declared: bool = False  # by the rows
    ignored: int = 0  # folds that the rows declare

    @property
    def text(self) -> str:
        """How many folds there are, and which."""
        if self.declared:
            return f"{self.num_folds} declared folds"
        ignored = f" (the {self.ignored} declared ones are ignored)" if self.ignored else ""
        return f"{self.num_folds} folds{ignored}"

    @property
    def digest(self) -> str:
        """sha256 of the folds."""
        return hashlib.sha256(self.fold.astype("<i8").tobytes()).hexdigest()


def fold_table(
    store: Store,
    declaration: Declaration,
    num_folds: int | None,
    *,
    ignore_declared: bool = False,
    cache: Path | None = None,
) -> FoldTable:
    """Return the fold of every row of a store.

    A "fold" column in the rows is taken as it is if it is not to be ignored: num_folds is None or the same.
    Otherwise rows of one "group" share a fold, and where the challenge says so rows of homologous sequences;
    the fold is a hash of the group's name, or of the sequence (of a cluster's smallest hash), so it does not
    depend on what else is in the table. cache is a folder for the groups of large tables. Raises InputError
    where the folds asked for cannot be had.
    """
    if num_folds is not None and num_folds < 2:
        raise InputError(f"--folds {num_folds}: wanted at least 2")
    declared = declared_folds(store)
    if declared and not ignore_declared:
        require_declared(declared, num_folds)
        fold, key = _read_folds(store), group_keys(store, declaration, cache)
        return FoldTable(fold, key, len(declared), declared=True)
    num_folds = num_folds or NUM_FOLDS
    key = group_keys(store, declaration, cache)
    return FoldTable(_hashed_folds(store, key, num_folds), key, num_folds, ignored=len(declared))


def declared_folds(store: Store) -> list[str]:
    """Return the names of the folds that the rows declare, in their order; none without a "fold" column."""
    return sorted(store.rows["fold"].unique()) if "fold" in store.rows else []


def require_declared(declared: list[str], num_folds: int | None) -> None:
    """Raise InputError where the declared folds are not as many as asked for, or not enough."""
    names = f"{', '.join(declared[:8])}{', ...' if declared[8:] else ''}"
    if len(declared) < 2:
        raise InputError(f"the rows declare a single fold ({names}); wanted 2 or more, or --ignore-folds")
    if (num_folds is None and len(declared) <= MANY_FOLDS) or num_folds == len(declared):
        return
    asked = "" if num_folds is None else f"--folds {num_folds}: "
    raise InputError(
        f"{asked}the rows declare {len(declared)} folds ({names}); wanted --folds {len(declared)}, "
        "or --ignore-folds to assign others"
    )


def _hashed_folds(store: Store, key: np.ndarray, num_folds: int) -> np.ndarray:
    """Return the fold (N,) int64 of rows whose groups have these hashes."""
    num_groups = len(np.unique(key))
    if num_folds > num_groups:
        shared = "; rows that share one of their sequences are one group" if len(store.sequences) > 1 else ""
        raise InputError(
            f"--folds {num_folds}: there are only {num_groups} groups in {len(store)} rows{shared}"
        )
    fold = scale(mix(key), num_folds)
    empty = np.setdiff1d(np.arange(num_folds), fold)
    if len(empty):
        raise InputError(
            f"--folds {num_folds}: no group falls into fold {empty[0]}, there are {num_groups} groups; "
            "wanted fewer folds"
        )
    return fold


def _read_folds(store: Store) -> np.ndarray:
    """Return the declared fold (N,) int64 of each row; InputError where they split a group."""
    names, fold = np.unique(store.rows["fold"].to_numpy(dtype=str), return_inverse=True)
    if "group" in store.rows:
        _, first, group = np.unique(hash_text(store.rows["group"]), return_index=True, return_inverse=True)
        split = np.flatnonzero(fold != fold[first][group])
        if len(split):
            row, other = split[0], first[group[split[0]]]
            ids = store.rows["id"]
            raise InputError(
                f"group {store.rows['group'][row]!r} is split between folds: row {ids[other]!r} is in "
                f"{names[fold[other]]!r}, row {ids[row]!r} in {names[fold[row]]!r}"
            )
    return fold.astype(np.int64)


def group_keys(store: Store, declaration: Declaration, cache: Path | None) -> np.ndarray:
    """Return the hash (N,) uint64 of each row's group."""
    path = None
    if cache is not None and len(store) > CACHED_ROWS:
        path = cache / f"groups-{_cache_name(declaration)}.bin"
        key = read_cache(path, len(store))
        if key is not None:
            return key
    key = _find_groups(store, declaration)
    if path is not None:
        write_cache(path, key)
    return key


def _find_groups(store: Store, declaration: Declaration) -> np.ndarray:
    named = hash_text(store.rows["group"]) if "group" in store.rows else None
    if named is not None and not declaration.near_duplicates:
        return named
    [found] = row_clusters([store], near_duplicates=declaration.near_duplicates)
    cluster = join_columns(found.number)
    if named is None:
        return _smallest(found.own.min(axis=1), cluster)
    rows = np.arange(len(store), dtype=np.int32)
    return _smallest(named, components([chain(named, rows), chain(cluster, rows)], len(store)))


def _smallest(values: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """Return for each row the smallest value (N,) uint64 in its cluster (N,)."""
    order = np.argsort(cluster, kind="stable")
    starts = np.flatnonzero(np.diff(cluster[order], prepend=-1))
    smallest: np.ndarray = np.minimum.reduceat(values[order], starts)[cluster]
    return smallest


def validation_mask(key: np.ndarray, *, fold: int, fraction: float, seed: int) -> np.ndarray:
    """Choose whole groups of training rows to hold out for early stopping: a mask (N,).

    About fraction of the rows, by a hash of (seed, fold, group); InputError where there is a single group.
    """
    groups, index, count = np.unique(key, return_inverse=True, return_counts=True)
    if len(groups) < 2:
        raise InputError("early stopping needs at least two groups of training rows; set patience=none")
    order = np.argsort(mix(groups ^ mix(np.array([seed, fold], dtype=np.uint64)).sum(dtype=np.uint64)))
    taken = max(1, int(np.searchsorted(count[order].cumsum(), fraction * len(key))))
    chosen = np.zeros(len(groups), dtype=bool)
    chosen[order[: min(taken, len(groups) - 1)]] = True
    return chosen[index]


def _cache_name(declaration: Declaration) -> str:
    rows = declaration.files.get("train/rows.csv", "")
    content = [CACHE_VERSION, str(declaration.near_duplicates), rows, *sequence_digests(declaration, "train")]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:16]


def sequence_digests(declaration: Declaration, part: str) -> list[str]:
    """Return the digests of the files that say which sequences the rows of a part have."""
    stems = [stem for each in declaration.sequences for stem in (each.files[0], each.files[2])]
    return [declaration.files.get(f"{part}/{stem}.npy", "") for stem in stems]


def read_cache(path: Path, count: int) -> np.ndarray | None:
    """Return the keys in a cache file, or None where it is absent or damaged."""
    data = path.read_bytes() if path.exists() else b""
    keys, digest = data[:-32], data[-32:]
    if len(keys) != 8 * count or hashlib.sha256(keys).digest() != digest:
        return None
    return np.frombuffer(keys, dtype="<u8")


def write_cache(path: Path, key: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    keys = key.astype("<u8").tobytes()
    write_bytes(path, keys + hashlib.sha256(keys).digest())
