"""Moments of the members of a blend and the truth: number, sums and products, gathered in one pass.

They are kept for chunks of rows. A step of a search, leaving a fold out and a resample, which draws whole
chunks, then take the same time for any number of rows.
"""

from dataclasses import dataclass

import numpy as np

from competition.base.errors import InputError
from competition.metrics.ranking import ranks

FARTHEST = 1e60  # from the mean; fourth powers, which correlations take, stay within float64's range
CHUNKS = 1_000  # drawn by a resample; each is of one fold and holds whole groups


@dataclass(frozen=True)
class Sums:
    """Number, sums and products over some rows; columns are the members, their rank mean and the truth."""

    count: float
    total: np.ndarray  # (T, M + 2)
    products: np.ndarray  # (T, M + 2, M + 2)

    def mean(self) -> np.ndarray:
        """Return the mean of each column (T, M + 2)."""
        return self.total / self.count

    def covariance(self) -> np.ndarray:
        """Return the covariance (M + 2, M + 2) summed over targets, each around its own mean."""
        mean = self.mean()
        return np.asarray((self.products / self.count - mean[:, :, None] * mean[:, None]).sum(0))


@dataclass(frozen=True)
class Moments:
    """Sums of every chunk of rows, of columns around their middle."""

    fold: np.ndarray  # (C,)
    count: np.ndarray  # (C,)
    total: np.ndarray  # (C, T, M + 2)
    products: np.ndarray  # (C, T, M + 2, M + 2)
    middle: np.ndarray  # (T, M + 2)

    @property
    def num_folds(self) -> int:
        return int(self.fold.max()) + 1

    def sums(self, *, without: int | None = None) -> Sums:
        """Return the sums over all rows, or over those of the other folds."""
        kept = self.fold != (-1 if without is None else without)
        return Sums(self.count[kept].sum(), self.total[kept].sum(0), self.products[kept].sum(0))


def with_rank_mean(members: np.ndarray) -> np.ndarray:
    """Return members (M, N, T) and last the mean of their ranks, each between 0 and 1: (M + 1, N, T)."""
    mean = np.zeros(members.shape[1:])
    for member in members:
        for target, values in enumerate(member.T):
            mean[:, target] += (ranks(values) - 0.5) / len(values)
    return np.concatenate([members, mean[None] / len(members)])


def gather(
    columns: np.ndarray, truth: np.ndarray, fold: np.ndarray, group: np.ndarray | None = None
) -> Moments:
    """Return the sums of chunks of rows.

    columns (M + 1, N, T), truth (N, T), fold (N,) from 0, group (N,) names of dependent rows.
    """
    chunk = _chunks(fold, np.arange(len(fold)) if group is None else group)
    middle = np.concatenate([columns.mean(1), truth.mean(0)[None]]).T  # (T, M + 2)
    _check_range(columns, truth, middle.T)
    order = np.argsort(chunk, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(chunk[order]) != 0, True)) + 1
    shape = (len(ends), truth.shape[1], len(columns) + 1)
    count, total, products = np.empty(shape[0]), np.empty(shape), np.empty((*shape, shape[-1]))
    for number, rows in enumerate(np.split(order, ends[:-1])):
        block = np.concatenate([columns[:, rows], truth[None, rows]]).transpose(2, 0, 1)  # (T, M + 2, n)
        block = block - middle[:, :, None]  # products of small numbers keep their digits
        count[number] = len(rows)
        total[number], products[number] = block.sum(2), block @ block.transpose(0, 2, 1)
    return Moments(fold[order[ends - 1]], count, total, products, middle)


def _check_range(columns: np.ndarray, truth: np.ndarray, middle: np.ndarray) -> None:
    """Refuse columns (M + 1, N, T) or truth (N, T) that cannot be squared, around their middle (M + 2, T)."""
    ends = [np.concatenate([end(columns, 1), end(truth, 0)[None]]) for end in (np.min, np.max)]
    farthest = np.abs(ends - middle).max(0)  # (M + 2, T)
    outside = ~(farthest <= FARTHEST) | ((farthest > 0) & (farthest < 1 / FARTHEST))
    for number, target in np.argwhere(outside)[:1]:
        name = "the truth" if number == len(columns) else f"member {number + 1}"
        raise InputError(
            f"{name} is up to {farthest[number, target]:.3g} from its mean; wanted {1 / FARTHEST:g} to "
            f"{FARTHEST:g}, as a blend is in the unit of the target"
        )


def _chunks(fold: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the chunk (N,) of every row: groups are assigned at random to the chunks of their fold."""
    _, first, unit = np.unique(group, return_index=True, return_inverse=True)
    num_folds = int(fold.max()) + 1
    assigned = np.random.default_rng(0).permutation(len(first)) % max(1, CHUNKS // num_folds)
    chunk: np.ndarray = assigned[unit] * num_folds + fold
    return chunk
