"""The features of sequences that the audit's regressions read, and the rows they are read of."""

import numpy as np

from competition.data.hashing import mix
from competition.data.store import Store, StoredSequence

BINS = 20  # of a quantity: enough for any shape of dependence
KMER = 5  # bases: 1,024 k-mers
MOST_BASES = 200_000_000  # read at a time: fewer rows of long sequences


def most_rows(store: Store, limit: int) -> int:
    """Return how many rows of a store to read at most: limit, or fewer where sequences are long."""
    width = sum(int(each.tokens.shape[1]) for each in store.sequences.values())
    return max(100, min(limit, MOST_BASES // width))


def sample_clusters(cluster: np.ndarray, most: int) -> np.ndarray:
    """Return rows (M,) of whole clusters (N,), drawn by a hash; at most so many unless the first has more."""
    key = mix(cluster)
    order = np.argsort(key, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(key[order]) != 0, True)) + 1
    stop = ends[max(0, int(np.searchsorted(ends, most, side="right")) - 1)]
    return np.sort(order[:stop])


def read_sequences(stored: StoredSequence, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return tokens (M, L) and lengths (M,) of rows (M,)."""
    sequence = stored.of(rows)
    return np.asarray(stored.tokens[sequence]), np.asarray(stored.lengths[sequence], dtype=np.int64)


def read_targets(store: Store, rows: np.ndarray) -> np.ndarray:
    """Return the targets (M, T) of training rows (M,)."""
    assert store.target is not None
    return np.asarray(store.target[rows], dtype=np.float64)


def gc_content(tokens: np.ndarray) -> np.ndarray:
    """Return the share of G and C among the known bases of each sequence (N,)."""
    gc = (tokens == 1) | (tokens == 2)
    return np.asarray(gc.sum(axis=1) / np.maximum((tokens < 4).sum(axis=1), 1))


def bins(values: np.ndarray) -> np.ndarray:
    """Return a one-hot encoding (N, B) of values (N,) in up to twenty equally full bins."""
    borders = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.asarray(
        np.eye(len(borders) + 1, dtype=np.float32)[np.searchsorted(borders, values, side="right")]
    )


def kmer_shares(tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the count of each 5-mer per base (N, 1024), float32, of tokens (N, L); none spans an N."""
    windows = np.lib.stride_tricks.sliding_window_view(tokens, KMER, axis=1)
    powers = 4 ** np.arange(KMER)
    shares = np.empty((len(tokens), 4**KMER), dtype=np.float32)
    step = max(1, 2**20 // tokens.shape[1])
    for start in range(0, len(tokens), step):
        block = windows[start : start + step]
        known = (block < 4).all(axis=2)
        row, _ = np.nonzero(known)
        code = block[known].astype(np.int64) @ powers + row * 4**KMER
        counts = np.bincount(code, minlength=len(block) * 4**KMER).reshape(len(block), -1)
        shares[start : start + step] = counts / np.maximum(lengths[start : start + step, None], 1)
    return shares
