"""Stable 64-bit hashes of sequences and text: the same on every platform and in every challenge."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from competition.data.tokens import PAD, reverse_complement

BLOCK_SYMBOLS = 2**20  # hashed at a time, so that long sequences take no more memory than short ones


def mix(values: np.ndarray) -> np.ndarray:
    """Scramble uint64 values with the SplitMix64 finaliser (Steele, Lea & Flood, OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        z = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))


def scale(hashes: np.ndarray, count: int) -> np.ndarray:
    """Map mixed hashes (N,) uint64 evenly onto 0..count-1 as int64."""
    scaled: np.ndarray = (hashes >> np.uint64(32)) * np.uint64(count) >> np.uint64(32)
    return scaled.astype(np.int64)


def hash_tokens(tokens: np.ndarray) -> np.ndarray:
    """Hash left-aligned tokens (N, L): (N,) uint64, whatever the width of the padding.

    Zobrist hashing: a random number for each (position, token), added up.
    """
    return _zobrist(tokens, 16, PAD)


def hash_either_strand(tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Hash tokens (N, L) so that a sequence and its reverse complement agree: (N,) uint64."""
    smaller: np.ndarray = np.minimum(hash_tokens(tokens), hash_tokens(reverse_complement(tokens, lengths)))
    return smaller


def hash_text(texts: Sequence[str]) -> np.ndarray:
    """Hash strings: (N,) uint64."""
    if not len(texts):
        return np.empty(0, dtype=np.uint64)
    encoded = np.char.encode(np.asarray(texts, dtype=np.str_), "utf-8")
    width = max(encoded.dtype.itemsize, 1)
    return _zobrist(np.frombuffer(encoded.tobytes(), np.uint8).reshape(-1, width), 256, 0)


def hash_bytes(values: np.ndarray) -> np.ndarray:
    """Hash rows of numbers (N, ...) by their bytes: (N,) uint64."""
    step = max(1, BLOCK_SYMBOLS // max(values[:1].nbytes, 1))
    blocks = (np.ascontiguousarray(values[start : start + step]) for start in range(0, len(values), step))
    parts = [_zobrist(block.view(np.uint8).reshape(len(block), -1), 256, 0) for block in blocks]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)


@lru_cache(maxsize=2)
def _random_numbers(width: int, alphabet: int, padding: int) -> np.ndarray:
    table = mix(np.arange(width * alphabet, dtype=np.uint64)).reshape(width, alphabet)
    table[:, padding] = 0
    return table


def _zobrist(symbols: np.ndarray, alphabet: int, padding: int) -> np.ndarray:
    width = symbols.shape[1]
    table = _random_numbers(width, alphabet, padding)
    column, step = np.arange(width), max(1, BLOCK_SYMBOLS // max(width, 1))
    parts = [
        table[column, symbols[start : start + step]].sum(axis=1, dtype=np.uint64)
        for start in range(0, len(symbols), step)
    ]
    return mix(np.concatenate(parts)) if parts else np.empty(0, dtype=np.uint64)
