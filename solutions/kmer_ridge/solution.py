"""Ridge regression on k-mer counts: the baseline that every network must beat."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

BLOCK_ROWS = 2048  # rows whose features are in memory at a time
BLOCK_BASES = 2**20  # bases that are counted at a time: long windows need smaller steps
ALPHAS = np.logspace(-1, 6, 29)  # tried penalties, a quarter of a decade apart


@dataclass(frozen=True)
class Config:
    """Our own choices, checked by cross-validation; see README."""

    challenge: str = "promoters"
    window: tuple[int, int] = (0, 112)
    k: int = 5  # count all words of 1 to k letters
    both_strands: bool = False  # count a word and its reverse complement as one

    @classmethod
    def search(cls, trial) -> "Config":
        return cls(
            k=trial.suggest_int("k", 3, 6),
            both_strands=trial.suggest_categorical("both_strands", [False, True]),
        )


class Estimator:
    """Count words, add the other inputs standardised, and solve ridge with the penalty that GCV picks."""

    def __init__(self, config, challenge):
        self.config = config
        self.others = [name for name in challenge.inputs if name != "sequence"]

    def fit(self, inputs: dict[str, np.ndarray], target: np.ndarray) -> None:
        """Fit in one pass over the rows; memory does not grow with their number."""
        moments = Moments.gather(self._blocks(inputs), target)
        scale = np.ones(len(moments.mean))
        num_words = sum(4**length for length in range(1, self.config.k + 1))
        scale[num_words:] = 1 / np.maximum(moments.deviation()[num_words:], 1e-12)
        self.weight, self.alpha = solve(moments, scale)
        self.bias = moments.target_mean - moments.mean @ self.weight

    def predict(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Return (N, T)."""
        predictions = [block @ self.weight + self.bias for block in self._blocks(inputs)]
        return np.concatenate([np.empty((0, len(self.bias))), *predictions])

    def state_dict(self) -> dict[str, np.ndarray]:
        return {"weight": self.weight, "bias": self.bias, "alpha": self.alpha}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.weight, self.bias, self.alpha = (np.asarray(state[name]) for name in ("weight", "bias", "alpha"))

    def _blocks(self, inputs: dict[str, np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the features (n, F) float64 of BLOCK_ROWS rows at a time."""
        for first in range(0, len(inputs["sequence"]), BLOCK_ROWS):
            rows = slice(first, first + BLOCK_ROWS)
            words = count_words(
                inputs["sequence"][rows], self.config.k, both_strands=self.config.both_strands
            )
            others = [np.asarray(inputs[name][rows], float).reshape(len(words), -1) for name in self.others]
            yield np.concatenate([words, *others], axis=1)


def count_words(tokens: np.ndarray, k: int, *, both_strands: bool = False) -> np.ndarray:
    """Return (N, 4 + ... + 4^k): how often each word of 1 to k letters occurs, in the order of the alphabet.

    tokens (N, W) uint8, A C G T = 0..3; a word that holds any other token is not counted. With both_strands
    a word and its reverse complement share the sum of their counts.
    """
    counts, row = [], np.arange(len(tokens))[:, None]
    code, known = np.zeros(tokens.shape, np.int64), np.ones(tokens.shape, bool)
    for length in range(1, k + 1):
        last = tokens[:, length - 1 :]
        code = code[:, : last.shape[1]] * 4 + last
        known = known[:, : last.shape[1]] & (last < 4)
        cells = np.bincount((row * 4**length + code)[known], minlength=len(tokens) * 4**length)
        words = cells.reshape(len(tokens), 4**length).astype(float)
        counts.append(words + words[:, opposite(length)] if both_strands else words)
    return np.concatenate(counts, axis=1)


def opposite(length: int) -> np.ndarray:
    """Return for each word of this length, by number, the number of its reverse complement."""
    word, number = np.arange(4**length), np.zeros(4**length, np.int64)
    for _ in range(length):
        word, letter = np.divmod(word, 4)
        number = number * 4 + 3 - letter
    return number


@dataclass(frozen=True)
class Moments:
    """All that ridge needs to know of the rows: sums over them, centred."""

    num_rows: int
    mean: np.ndarray  # (F,)
    target_mean: np.ndarray  # (T,)
    gram: np.ndarray  # (F, F)
    cross: np.ndarray  # (F, T)
    target_square: np.ndarray  # (T,)

    @classmethod
    def gather(cls, blocks: Iterator[np.ndarray], target: np.ndarray) -> "Moments":
        target = np.asarray(target, float)
        target_mean = target.mean(0)
        centred = target - target_mean
        total = gram = cross = 0.0
        first = 0
        for block in blocks:
            total = total + block.sum(0)
            gram = gram + block.T @ block
            cross = cross + block.T @ centred[first : first + len(block)]
            first += len(block)
        mean = total / len(target)
        gram = gram - len(target) * np.outer(mean, mean)
        return cls(len(target), mean, target_mean, gram, cross, (centred**2).sum(0))

    def deviation(self) -> np.ndarray:
        return np.sqrt(np.maximum(np.diag(self.gram), 0) / self.num_rows)


def solve(moments: Moments, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights (F, T) of the features as they come and the penalty of each target (T,).

    The penalty minimises generalised cross-validation (Golub, Heath, Wahba 1979), which one
    eigendecomposition answers for all penalties: RSS / (rows - degrees of freedom)^2.
    """
    values, vectors = np.linalg.eigh(moments.gram * np.outer(scale, scale))
    values = np.maximum(values, 0)
    projected = vectors.T @ (moments.cross * scale[:, None])  # (F, T)
    shrunk = 1 / (values[:, None] + ALPHAS)  # (F, A)
    explained = np.einsum("ft,fa->at", projected**2, 2 * shrunk - values[:, None] * shrunk**2)
    freedom = 1 + (values[:, None] * shrunk).sum(0)[:, None]  # (A, 1), the intercept included
    spare = np.maximum(moments.num_rows - freedom, 1e-9)
    score = (moments.target_square - explained) / spare**2
    best = score.argmin(0)
    weight = vectors @ (projected * shrunk[:, best]) * scale[:, None]
    return weight, ALPHAS[best]
