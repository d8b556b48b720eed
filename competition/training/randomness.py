"""Counted randomness: every draw is a function of (seed, epoch, row), never of what was drawn before.

So a resumed run and a run on more processes draw the same numbers, without any state to save.
"""

import hashlib

import numpy as np

# A purpose is any name and is numbered by its hash; these have been numbered by hand.
_NUMBERED = ("order", "shift", "strand", "model", "dropout", "restart", "trial", "mutate")  # 1 to 8
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # Steele, Lea & Flood, SplitMix, OOPSLA 2014


def permutation(count: int, *, seed: int, epoch: int) -> np.ndarray:
    """Return the order (count,) in which an epoch visits its rows."""
    return np.random.default_rng([_number("order"), seed, epoch]).permutation(count)


def draw_integers(
    rows: np.ndarray, *, low: int, high: int, purpose: str, seed: int, epoch: int
) -> np.ndarray:
    """Draw one integer in [low, high] for each row number: (B,) int64."""
    bits = _mix(rows.astype(np.uint64), derive(purpose, seed, epoch))
    # The upper half times the span: no modulo bias that 32 bits could show.
    return low + ((bits >> np.uint64(32)) * np.uint64(high - low + 1) >> np.uint64(32)).astype(np.int64)


def draw_fractions(rows: np.ndarray, count: int, *, purpose: str, seed: int, epoch: int) -> np.ndarray:
    """Draw count numbers in [0, 1) for each row number: (B, count) float64, a generator for each row."""
    own = _mix(rows.astype(np.uint64), derive(purpose, seed, epoch))
    bits = _mix(np.arange(count, dtype=np.uint64), own[:, None])
    return (bits >> np.uint64(11)) * 2.0**-53


def derive(purpose: str, *numbers: int) -> int:
    """Derive a 63-bit seed for a purpose from some numbers."""
    words = np.random.SeedSequence([_number(purpose), *numbers]).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))


def _number(purpose: str) -> int:
    """Number a purpose, the same in every process."""
    if purpose in _NUMBERED:
        return 1 + _NUMBERED.index(purpose)
    return int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "little")


def _mix(counter: np.ndarray, key: int | np.ndarray) -> np.ndarray:
    """Scramble counters (B,) uint64 under a key with the SplitMix64 finaliser."""
    with np.errstate(over="ignore"):
        z = (counter + np.uint64(1)) * _GOLDEN + np.asarray(key, dtype=np.uint64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
