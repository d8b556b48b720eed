"""Find the closest homolog of every sequence in another fold, or of a test sequence in training.

Sequences are clustered as they are for the folds. Within a cluster those that share a k-mer are compared, and
of the homologous ones the one with the most equal bases is the closest.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from competition.auditing.alignment import Aligner, Homologs
from competition.auditing.rows import TEST, Part
from competition.data.cores import Cores, Sequences, homologous, pack
from competition.data.groups import cluster
from competition.data.hashing import mix
from competition.data.kmers import Kmers, spaced

IDENTICAL = 1 << 40  # equal bases that identical sequences count for: more than any others have


class Homology(NamedTuple):
    """The homologs and the homology clusters of all entries."""

    across: Homologs  # the closest ones on another side
    anywhere: Homologs  # the closest ones of training entries, on any side
    cluster: np.ndarray  # (E,) homology cluster of every entry


def find_homologs(parts: Sequence[Part], advance: Callable[[float], object] | None = None) -> Homology:
    """Find the closest homolog of every entry, and the clusters.

    Entries of test rows are compared with those of training rows alone. advance is called with the number of
    entries that each piece of the work amounts to.
    """
    cores = pack([Sequences(part.store.tokens, part.store.lengths, part.sequence) for part in parts])
    number = cluster(cores, advance)
    side = np.concatenate([part.side for part in parts])
    is_train, aligner = side != TEST, Aligner(parts, cores.lengths)
    across = _Search(cores, number, side, is_train, np.ones(len(side), dtype=bool)).closest()
    anywhere = _Search(cores, number, np.arange(len(side)), is_train, is_train).closest()
    return Homology(aligner.align(*across), aligner.align(*anywhere), number)


class _Search:
    """The search for each wanted entry's closest homolog among the training entries on another side."""

    def __init__(
        self, cores: Cores, number: np.ndarray, side: np.ndarray, is_train: np.ndarray, wanted: np.ndarray
    ) -> None:
        """Take each entry's cluster number, side, and whether it is of training rows and wanted, all (E,)."""
        self.cores, self.number, self.side, self.is_train = cores, number, side, is_train
        self.wanted = wanted & ~cores.blank
        count = len(number)
        self.equal, self.partner = np.zeros(count, dtype=np.int64), np.full(count, -1)
        self.offset, self.flipped = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=bool)

    def closest(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return entries (M,) that have a homolog, and its entry, offset and strand."""
        one, other = self._pairs(self.cores.own, np.arange(len(self.number)))
        flip = self.cores.flipped[one] ^ self.cores.flipped[other]
        self._update(one, other, np.zeros_like(one), flip, np.full(len(one), IDENTICAL))
        self._compare(lambda cores: [Kmers(cores)])
        self.wanted &= self.partner < 0
        self._compare(spaced)
        entry = np.flatnonzero(self.partner >= 0)
        return entry, self.partner[entry], self.offset[entry], self.flipped[entry]

    def _pairs(self, value: np.ndarray, entry: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return places (M,) of wanted entries (n,) and of a partner of equal value (n,)."""
        order = np.argsort(value, kind="stable")
        mine = entry[order]
        one, other = _partners(value[order], self.side[mine], self.is_train[mine])
        chosen = self.wanted[mine[one]]
        return order[one[chosen]], order[other[chosen]]

    def _compare(self, searches: Callable[[Cores], Iterable[Kmers]]) -> None:
        """Compare wanted entries with those that share a k-mer in their cluster."""
        wanted, _ = self._pairs(self.number, np.arange(len(self.number)))
        mine = np.flatnonzero(np.isin(self.number, self.number[wanted]))
        if not len(mine):
            return
        for search in searches(self.cores.take(mine)):
            for keys in search.sorted_buckets():
                value, entry, start, flipped = search.read(keys)
                one, other = self._pairs(mix(value ^ mix(self.number[mine[entry]])), mine[entry])
                pairs = _distinct(*search.lay(entry, start, flipped, one, other))
                found, equal = homologous(search.cores, *pairs, rows=not search.mask)
                here, there, offset, flip = (each[found] for each in pairs)
                self._update(mine[here], mine[there], offset, flip, equal[found])

    def _update(
        self, entry: np.ndarray, partner: np.ndarray, offset: np.ndarray, flip: np.ndarray, equal: np.ndarray
    ) -> None:
        """Keep the partners (M,) that are closer than those known; of equally close ones the first."""
        order = np.lexsort((-partner, equal, entry))
        order = order[np.append(entry[order][1:] != entry[order][:-1], True)[: len(order)]]
        order = order[equal[order] > self.equal[entry[order]]]
        mine = entry[order]
        self.equal[mine], self.partner[mine] = equal[order], partner[order]
        self.offset[mine], self.flipped[mine] = offset[order], flip[order]


def _distinct(
    one: np.ndarray, other: np.ndarray, offset: np.ndarray, flip: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Drop repeated pairs (M,)."""
    order = np.lexsort((flip, offset, other, one))
    table = np.stack([one, other, offset, flip], axis=1)[order]
    new = np.append(True, (table[1:] != table[:-1]).any(axis=1))[: len(table)]
    return one[order][new], other[order][new], offset[order][new], flip[order][new]


def _partners(value: np.ndarray, side: np.ndarray, is_train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return places (M,) with a partner, and of the partner: a training entry of equal value, another side.

    values are sorted. The partner is the first training entry of equal value, or for those on its side the
    first on another, so that there are no more pairs than entries.
    """
    count = len(value)
    starts = np.flatnonzero(np.concatenate([[True], value[1:] != value[:-1]]))
    run = np.repeat(np.arange(len(starts)), np.diff(starts, append=count))
    place = np.arange(count)
    first = np.minimum.reduceat(np.where(is_train, place, count), starts)[run]
    alike = side == side[np.minimum(first, count - 1)]
    second = np.minimum.reduceat(np.where(is_train & ~alike, place, count), starts)[run]
    partner = np.where(alike, second, first)
    found = np.flatnonzero(partner < count)
    return found, partner[found]
