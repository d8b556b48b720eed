"""Ranks of values, plain or over counts of the rows; equal values share the mean of their ranks."""

from typing import NamedTuple

import numpy as np


def ranks(values: np.ndarray) -> np.ndarray:
    """Rank values (N,) from 1; equal values share the mean of their ranks, which is exact in float64."""
    order = np.argsort(values)
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(starts, append=len(values))
    result = np.empty(len(values), dtype=np.float64)
    result[order] = np.repeat(starts + (counts + 1) / 2, counts)
    return result


class Ranked(NamedTuple):
    """The order of the rows by one value; equal values form one run."""

    order: np.ndarray  # (N,)
    runs: tuple[np.ndarray, np.ndarray] | None  # start and end of each row's run, in order; None without ties

    @classmethod
    def of(cls, values: np.ndarray) -> "Ranked":
        order = np.argsort(values, kind="stable")
        new = np.concatenate([[True], np.diff(values[order]) != 0])
        if new.all():
            return cls(order, None)
        starts, run = np.flatnonzero(new), np.cumsum(new) - 1
        return cls(order, (starts[run], np.append(starts[1:], len(values))[run]))

    def ranks(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return counts and mean ranks (r, N), around their middle, of the rows in this order."""
        mine = np.take(counts, self.order, axis=1)
        total = np.cumsum(mine, axis=1)
        middle = total[:, -1:] / 2  # and a half, which is the mean rank of any sample
        if self.runs is None:
            total -= mine / 2
            total -= middle
            return mine, total
        before = np.concatenate([np.zeros_like(total[:, :1]), total], axis=1)
        return mine, (np.take(before, self.runs[0], 1) + np.take(before, self.runs[1], 1)) / 2 - middle
