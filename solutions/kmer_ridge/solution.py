"""Ridge regression on k-mer counts: the baseline that every network must beat."""

import functools
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import NamedTuple

import numpy as np

BLOCK_ROWS = 2048  # rows whose features are in memory at a time
BLOCK_BASES = 2**20  # bases that are counted at a time: long windows need smaller steps
NUM_PARTS = 5  # of the rows, each left out in turn to choose the penalty
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
    """Count words, add the other inputs, and solve ridge with the penalty that rows left out pick."""

    def __init__(self, config, challenge):
        self.config = config
        self.others = [name for name in challenge.inputs if name != "sequence"]

    def fit(self, inputs: dict[str, np.ndarray], target: np.ndarray) -> None:
        """Fit in one pass over the rows; memory does not grow with their number."""
        target = np.asarray(target, float)
        middle = target.mean(0)
        parts = self._sum_parts(inputs, target - middle)
        total = functools.reduce(Sums.__add__, parts)
        scale, self.alpha = choose(parts, total, self._scales(total))
        path = Path.solve(total, scale)
        pick = np.searchsorted(ALPHAS, self.alpha)
        self.weight = np.stack([path.weight[:, a, t] for t, a in enumerate(pick)], axis=1)
        self.bias = np.array([path.bias[a, t] for t, a in enumerate(pick)]) + middle

    def _sum_parts(self, inputs: dict[str, np.ndarray], target: np.ndarray) -> list["Sums"]:
        """Sum over the rows of each part; rows of one sequence are in one part."""
        parts: list[Sums] = []
        part = part_of(inputs["sequence"])
        first = 0
        for block in self._blocks(inputs):
            rows = slice(first, first + len(block))
            mine = [part[rows] == number for number in range(NUM_PARTS)]
            sums = [Sums.over(block[each], target[rows][each]) for each in mine]
            parts = [old + new for old, new in zip(parts, sums, strict=True)] if parts else sums
            first += len(block)
        return parts

    def _scales(self, total: "Sums") -> list[np.ndarray]:
        """Return what features are multiplied by: words by 1, each other input so that its block counts.

        Tried are other inputs that vary together as much as all words do, and ten and a hundred times that.
        """
        variance = total.variance()
        num_words = sum(4**length for length in range(1, self.config.k + 1))
        words, others = variance[:num_words], variance[num_words:]
        if not len(others):
            return [np.ones(num_words)]
        share = np.sqrt(max(words.sum(), 1e-12) / len(others)) / np.maximum(np.sqrt(others), 1e-12)
        mean = total.features[num_words:] / total.count
        share[others <= 1e-10 * mean**2] = 0  # it never varies
        return [np.concatenate([np.ones(num_words), factor * share]) for factor in (1, 10, 100)]

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


def part_of(tokens: np.ndarray) -> np.ndarray:
    """Return which part (N,) each row's sequence (N, W) falls into: equal sequences into the same."""
    factor = np.random.default_rng(0).integers(1, 2**63, tokens.shape[1], dtype=np.uint64) | np.uint64(1)
    blocks = [slice(first, first + BLOCK_ROWS) for first in range(0, len(tokens), BLOCK_ROWS)]
    hashes = np.concatenate([(tokens[rows] + np.uint64(1)) @ factor for rows in blocks])
    return (hashes >> np.uint64(40)) % np.uint64(NUM_PARTS)


@dataclass(frozen=True)
class Sums:
    """All that ridge needs to know of some rows."""

    count: int
    features: np.ndarray  # (F,)
    target: np.ndarray  # (T,)
    gram: np.ndarray  # (F, F)
    cross: np.ndarray  # (F, T)
    square: np.ndarray  # (T,)

    @classmethod
    def over(cls, x: np.ndarray, y: np.ndarray) -> "Sums":
        return cls(len(x), x.sum(0), y.sum(0), x.T @ x, x.T @ y, (y**2).sum(0))

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: "Sums") -> "Sums":
        return Sums(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def variance(self) -> np.ndarray:
        mean = self.features / self.count
        return np.maximum(np.diag(self.gram) / self.count - mean**2, 0)

    def squared_error(self, path: "Path") -> np.ndarray:
        """Return the sum over these rows of the squared error (A, T) of the predictions of a path."""
        weight, bias = path.weight, path.bias
        quadratic = np.einsum("fat,fat->at", np.tensordot(self.gram, weight, 1), weight)
        linear = np.einsum("ft,fat->at", self.cross, weight) + self.target * bias
        shift = np.einsum("f,fat->at", self.features, weight) * bias
        return self.square - 2 * linear + quadratic + 2 * shift + self.count * bias**2


class Path(NamedTuple):
    """The ridge solutions for every penalty in ALPHAS."""

    weight: np.ndarray  # (F, A, T), of the features as they come
    bias: np.ndarray  # (A, T)

    @classmethod
    def solve(cls, sums: Sums, scale: np.ndarray) -> "Path":
        """Solve for all penalties at once; features are multiplied by scale (F,) first."""
        mean, target_mean = sums.features / sums.count, sums.target / sums.count
        gram = sums.gram - sums.count * np.outer(mean, mean)
        cross = sums.cross - sums.count * np.outer(mean, target_mean)
        values, vectors = np.linalg.eigh(gram * np.outer(scale, scale))
        projected = vectors.T @ (cross * scale[:, None])  # (F, T)
        shrunk = projected[:, None] / (np.maximum(values, 0)[:, None, None] + ALPHAS[:, None])
        weight = np.tensordot(vectors, shrunk, 1) * scale[:, None, None]
        return cls(weight, target_mean - np.einsum("f,fat->at", mean, weight))


def choose(parts: list[Sums], total: Sums, scales: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the scale (F,), and the penalty of each target (T,), that predict parts left out best."""
    errors = np.zeros((len(scales), len(ALPHAS), len(total.target)))
    for number, scale in enumerate(scales):
        for part in parts:
            if part.count and total.count - part.count > 1:
                errors[number] += part.squared_error(Path.solve(total - part, scale))
    best = int(errors.min(1).sum(1).argmin())
    return scales[best], ALPHAS[::-1][errors[best, ::-1].argmin(0)]  # of equals the largest
