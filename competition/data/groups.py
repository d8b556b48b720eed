"""Find clusters of homologous sequences, so that they never sit on both sides of a fold.

Pairs that share a k-mer are compared base by base, and homologous ones join their clusters (single linkage).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from competition.data.cores import Cores, Sequences, homologous, pack
from competition.data.kmers import Kmers, spaced

NEIGHBOURS = 64  # places apart that two sequences with the same k-mer may be to be compared
PAIRS = 2**18  # compared at a time


class Clusters(NamedTuple):
    """Homologous sequences share a number."""

    number: np.ndarray  # (E,) int64
    own: np.ndarray  # (E,) uint64 hash of each sequence without constant flanks, the same for both strands


def homology_clusters(
    parts: Sequence[Sequences], advance: Callable[[float], object] | None = None
) -> Clusters:
    """Cluster the sequences of all parts, counted through; equal ones share a cluster even where poor.

    advance is called with the number of sequences that each piece of the work amounts to.
    """
    cores = pack(parts)
    return Clusters(cluster(cores, advance), cores.own)


def cluster(cores: Cores, advance: Callable[[float], object] | None = None) -> np.ndarray:
    """Return the number of each sequence's cluster (E,) int64."""
    count = len(cores.lengths)
    number = join(np.arange(count), *chain(cores.own, np.arange(count)))
    searches = [search for search in (Kmers(cores), *spaced(cores)) if search.num_kmers]
    share = count / max(1, sum(search.num_passes for search in searches))
    for search in searches:
        for keys in search.sorted_buckets((lambda: advance(share)) if advance else None):
            value, entry, start, flipped = search.read(keys)
            for one, other in _neighbours(value, entry, number):
                apart = number[entry[one]] != number[entry[other]]
                pairs = search.lay(entry, start, flipped, one[apart], other[apart])
                found, _ = homologous(cores, *pairs, rows=not search.mask)
                number = join(number, pairs[0][found], pairs[1][found])
    return np.unique(number, return_inverse=True)[1]


def _neighbours(
    value: np.ndarray, entry: np.ndarray, number: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield blocks of pairs of places (n,) with the same value, the nearest first; values are sorted."""
    starts = np.flatnonzero(np.append(True, value[1:] != value[:-1])[: len(value)])
    sizes, mine = np.diff(starts, append=len(value)), number[entry]
    mixed = np.logical_or.reduceat(mine != np.repeat(mine[starts], sizes), starts)
    alive = np.flatnonzero(np.repeat(mixed, sizes))
    for distance in range(1, NEIGHBOURS + 1):
        alive = alive[: np.searchsorted(alive, len(value) - distance)]
        alive = alive[value[alive + distance] == value[alive]]
        if not len(alive):
            return
        for start in range(0, len(alive), PAIRS):
            one = alive[start : start + PAIRS]
            yield one, one + distance


def join(number: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Give the clusters that pairs (M,) join the smallest of their numbers (E,)."""
    if not len(one):
        return number
    names, ends = np.unique(number[np.stack([one, other])], return_inverse=True)
    joined = components([ends.reshape(2, -1)], len(names))
    table = np.arange(len(number))
    table[names] = names[np.unique(joined, return_index=True)[1][joined]]
    smallest: np.ndarray = table[number]
    return smallest


def components(pairs: list[np.ndarray], count: int) -> np.ndarray:
    """Number the connected components of count things joined by pairs [(2, M), ...]: (count,) int64."""
    first, second = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(count, count))
    component: np.ndarray = connected_components(graph, directed=False)[1].astype(np.int64)
    return component


def join_columns(number: np.ndarray) -> np.ndarray:
    """Number the sets of rows that share a value in any of their columns (N, S): (N,) int64."""
    if number.shape[1] == 1:
        return np.asarray(number[:, 0])
    rows = np.repeat(np.arange(len(number)), number.shape[1])
    return components([chain(number.ravel(), rows)], len(number))


def chain(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return pairs (2, M) of rows that chain all rows with the same value."""
    order = np.argsort(values, kind="stable")
    values, rows = values[order], rows[order]
    same = np.flatnonzero((values[1:] == values[:-1]) & (rows[1:] != rows[:-1]))
    return np.stack([rows[same], rows[same + 1]])
