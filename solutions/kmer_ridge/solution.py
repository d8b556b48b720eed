"""Ridge regression on k-mer counts: the baseline that every network must beat."""

import functools
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import NamedTuple

import numpy as np

BLOCK_ROWS = 2048  # rows whose features are in memory at a time
BLOCK_BASES = 2**20  # bases whose k-mers are counted at a time, which bounds memory for long windows
NUM_FOLDS = 5  # of the cross-validation that chooses the penalty
ALPHAS = np.logspace(-1, 6, 29)  # penalties, a quarter of a decade apart


@dataclass(frozen=True)
class Config:
    """Hold our own choices, checked by cross-validation; see README."""

    challenge: str = "promoters"
    window: tuple[int, int] | None = None  # the whole sequence
    k: int = 5  # count all k-mers of 1 to k bases
    both_strands: bool = False  # count a k-mer and its reverse complement as one

    @classmethod
    def search(cls, trial) -> "Config":
        return cls(
            k=trial.suggest_int("k", 3, 6),
            both_strands=trial.suggest_categorical("both_strands", [False, True]),
        )


class Estimator:
    """Fit a ridge regression on k-mer counts and the other inputs; cross-validation chooses the penalty."""

    def __init__(self, config, _):
        self.config = config

    def fit(self, inputs: dict[str, np.ndarray], target: np.ndarray) -> None:
        """Fit in one pass over the rows; memory does not grow with their number."""
        target = np.asarray(target, float)
        mean = target.mean(0)
        folds = self._sum_folds(inputs, target - mean)
        total = functools.reduce(Sums.__add__, folds)
        scale, self.alpha = choose(folds, total, self._scales(total, len(sequences_of(inputs))))
        path = Path.solve(total, scale)
        chosen = np.searchsorted(ALPHAS, self.alpha)
        self.weight = np.stack([path.weight[:, a, t] for t, a in enumerate(chosen)], axis=1)
        self.bias = np.array([path.bias[a, t] for t, a in enumerate(chosen)]) + mean

    def _sum_folds(self, inputs: dict[str, np.ndarray], target: np.ndarray) -> list["Sums"]:
        """Return the sums over the rows of each fold."""
        folds: list[Sums] = []
        fold, first = fold_of(*(inputs[name] for name in sequences_of(inputs))), 0
        for block in self._blocks(inputs):
            rows = slice(first, first + len(block))
            members = [fold[rows] == number for number in range(NUM_FOLDS)]
            sums = [Sums.over(block[each], target[rows][each]) for each in members]
            folds = [old + new for old, new in zip(folds, sums, strict=True)] if folds else sums
            first += len(block)
        return folds

    def _scales(self, total: "Sums", num_sequences: int) -> list[np.ndarray]:
        """Return candidate factors of the features: 1 for k-mers, three choices for all other inputs.

        They give the other inputs together 1, 10 or 100 times the standard deviation of all k-mers.
        """
        variance = total.variance()
        num_kmers = num_sequences * sum(4**length for length in range(1, self.config.k + 1))
        kmers, others = variance[:num_kmers], variance[num_kmers:]
        if not len(others):
            return [np.ones(num_kmers)]
        share = np.sqrt(max(kmers.sum(), 1e-12) / len(others)) / np.maximum(np.sqrt(others), 1e-12)
        mean = total.features[num_kmers:] / total.count
        share[others <= 1e-10 * mean**2] = 0  # a constant input
        return [np.concatenate([np.ones(num_kmers), factor * share]) for factor in (1, 10, 100)]

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
        names = sequences_of(inputs)
        others = [values for name, values in inputs.items() if name not in names]
        for first in range(0, len(inputs[names[0]]), BLOCK_ROWS):
            rows = slice(first, first + BLOCK_ROWS)
            counts = [self._count(inputs[name][rows]) for name in names]
            others_here = [np.asarray(values[rows], float).reshape(len(counts[0]), -1) for values in others]
            yield np.concatenate([*counts, *others_here], axis=1)

    def _count(self, tokens: np.ndarray) -> np.ndarray:
        k, both = self.config.k, self.config.both_strands
        return np.concatenate([count_kmers(part, k, both_strands=both) for part in split(tokens)])


def sequences_of(inputs: dict[str, np.ndarray]) -> list[str]:
    """Return the names of the sequences among the inputs: they come as tokens, uint8."""
    return [name for name, values in inputs.items() if values.dtype == np.uint8]


def split(tokens: np.ndarray) -> list[np.ndarray]:
    """Split rows (N, W) into parts of up to BLOCK_BASES bases."""
    step = max(1, BLOCK_BASES // tokens.shape[1])
    return [tokens[first : first + step] for first in range(0, len(tokens), step)]


def count_kmers(tokens: np.ndarray, k: int, *, both_strands: bool = False) -> np.ndarray:
    """Return (N, 4 + ... + 4^k): how often each k-mer of 1 to k bases occurs, in alphabetical order.

    tokens (N, W) uint8, A C G T = 0..3; a k-mer with any other token is not counted. With both_strands a
    k-mer and its reverse complement both get the sum of their counts.
    """
    counts, row = [], np.arange(len(tokens))[:, None]
    code, known = np.zeros(tokens.shape, np.int64), np.ones(tokens.shape, bool)
    for length in range(1, k + 1):
        last = tokens[:, length - 1 :]
        code = code[:, : last.shape[1]] * 4 + last
        known = known[:, : last.shape[1]] & (last < 4)
        cells = np.bincount((row * 4**length + code)[known], minlength=len(tokens) * 4**length)
        kmers = cells.reshape(len(tokens), 4**length).astype(float)
        counts.append(kmers + kmers[:, reverse_complements(length)] if both_strands else kmers)
    return np.concatenate(counts, axis=1)


def reverse_complements(length: int) -> np.ndarray:
    """Return for the code of each k-mer of this length the code of its reverse complement."""
    kmer, code = np.arange(4**length), np.zeros(4**length, np.int64)
    for _ in range(length):
        kmer, base = np.divmod(kmer, 4)
        code = code * 4 + 3 - base
    return code


def fold_of(*sequences: np.ndarray) -> np.ndarray:
    """Return the fold (N,) of each row by its sequences, each (N, W); identical rows share one."""
    hashes = functools.reduce(np.add, map(hash_of, sequences))
    return (hashes >> np.uint64(40)) % np.uint64(NUM_FOLDS)


def hash_of(tokens: np.ndarray) -> np.ndarray:
    """Hash tokens (N, W): (N,) uint64."""
    factor = np.random.default_rng(0).integers(1, 2**63, tokens.shape[1], dtype=np.uint64) | np.uint64(1)
    return np.concatenate([(part + np.uint64(1)) @ factor for part in split(tokens)])


@dataclass(frozen=True)
class Sums:
    """The sufficient statistics of some rows for ridge regression."""

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
        """Return the squared error (A, T), summed over these rows, of each solution of a path."""
        weight, bias = path.weight, path.bias
        quadratic = np.einsum("fat,fat->at", np.tensordot(self.gram, weight, 1), weight)
        linear = np.einsum("ft,fat->at", self.cross, weight) + self.target * bias
        shift = np.einsum("f,fat->at", self.features, weight) * bias
        return self.square - 2 * linear + quadratic + 2 * shift + self.count * bias**2


class Path(NamedTuple):
    """The ridge solutions for all penalties in ALPHAS."""

    weight: np.ndarray  # (F, A, T), of the unscaled features
    bias: np.ndarray  # (A, T)

    @classmethod
    def solve(cls, sums: Sums, scale: np.ndarray) -> "Path":
        """Solve for all penalties at once, for features multiplied by scale (F,)."""
        mean, target_mean = sums.features / sums.count, sums.target / sums.count
        gram = sums.gram - sums.count * np.outer(mean, mean)
        cross = sums.cross - sums.count * np.outer(mean, target_mean)
        values, vectors = np.linalg.eigh(gram * np.outer(scale, scale))
        projected = vectors.T @ (cross * scale[:, None])  # (F, T)
        shrunk = projected[:, None] / (np.maximum(values, 0)[:, None, None] + ALPHAS[:, None])
        weight = np.tensordot(vectors, shrunk, 1) * scale[:, None, None]
        return cls(weight, target_mean - np.einsum("f,fat->at", mean, weight))


def choose(folds: list[Sums], total: Sums, scales: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the scale (F,) and the penalty of each target (T,) with the least cross-validation error."""
    errors = np.zeros((len(scales), len(ALPHAS), len(total.target)))
    for number, scale in enumerate(scales):
        for fold in folds:
            if fold.count and total.count - fold.count > 1:
                errors[number] += fold.squared_error(Path.solve(total - fold, scale))
    best = int(errors.min(1).sum(1).argmin())
    return scales[best], ALPHAS[::-1][errors[best, ::-1].argmin(0)]  # of ties the largest
