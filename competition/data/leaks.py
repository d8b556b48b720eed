"""Leaks that a run warns of: declared folds, or a test set, that split homologous sequences."""

import hashlib

import numpy as np

from competition.data.challenge import Challenge
from competition.data.folds import (
    CACHE_VERSION,
    CACHED_ROWS,
    FoldTable,
    read_cache,
    sequence_digests,
    write_cache,
)
from competition.data.homology import row_clusters


def leaks(opened: Challenge, folds: FoldTable) -> list[str]:
    """Return a line for each leak: how many rows share a homology cluster with rows on the other side.

    None for a challenge that declares that near-duplicates may be split.
    """
    if not opened.declaration.near_duplicates:
        return []
    count = _split_rows(folds)
    split = [_describe(opened, count, f"{len(opened.train):,} training rows", "another declared fold")]
    return split * (count > 0) + test_leaks(opened)


def test_leaks(opened: Challenge) -> list[str]:
    """Return the leak of a test set, which flatters all that was trained on the training rows."""
    count = _known_test_rows(opened) if opened.declaration.near_duplicates else 0
    if opened.test is None or not count:
        return []
    return [_describe(opened, count, f"{len(opened.test):,} test rows", "training")]


def _describe(opened: Challenge, count: int, rows: str, where: str) -> str:
    return (
        f"{count:,} of {rows} share a homology cluster with rows in {where}, which flatters scores; "
        f"see python -m competition.audit {opened.declaration.name}"
    )


def _split_rows(folds: FoldTable) -> int:
    """Count the training rows whose cluster is in several folds; none but declared folds have such."""
    _, first, cluster = np.unique(folds.key, return_index=True, return_inverse=True)
    split = np.unique(cluster[folds.fold != folds.fold[first][cluster]])
    return int(np.isin(cluster, split).sum())


def _known_test_rows(opened: Challenge) -> int:
    """Count the test rows in clusters with training rows; large challenges keep the count in their cache."""
    if opened.test is None:
        return 0
    path = opened.folder / "cache" / f"test-{_cache_name(opened)}.bin"
    kept = read_cache(path, 1)
    if kept is not None:
        return int(kept[0])
    count = _count(opened)
    if len(opened.train) + len(opened.test) > CACHED_ROWS:
        write_cache(path, np.array([count], dtype=np.uint64))
    return count


def _count(opened: Challenge) -> int:
    assert opened.test is not None
    train, test = row_clusters((opened.train, opened.test))
    return int(np.isin(test.number, train.number).any(axis=1).sum())


def _cache_name(opened: Challenge) -> str:
    digests = [sequence_digests(opened.declaration, part) for part in ("train", "test")]
    content = [CACHE_VERSION, *digests[0], *digests[1]]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:16]
