"""Find for every sequence its closest relative on another side: in another fold, or in training for the test.

Sequences that share a stretch of bases, as they are compared for the folds, are candidates; of a sequence's
candidates the one that shares most stretches at one offset is aligned base by base, and says what kind of
relative it is. Memory is bounded: stretches are gathered by ranges of their hash, in as many passes as
needed.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from competition.data.groups import (
    BLOCK_BASES,
    EXACT_SEQUENCES,
    WINDOW,
    K,
    constant_flanks,
    signatures,
    strip,
)
from competition.data.hashing import hash_tokens
from competition.data.store import Store
from competition.data.tokens import PAD, N, reverse_complement

TEST = -1  # the side of test rows; folds are 0, 1, ...
KINDS = ("same", "reverse complement", "shifted", "near-duplicate")
EXACT_BASES = 400_000_000  # beyond, only minimizers are compared
PASS_STRETCHES = 128_000_000  # gathered at a time: 8 bytes each
BUCKET_STRETCHES = 1_000_000  # sorted at a time
MOST_CANDIDATES = 16_000_000  # in memory before only the best of each sequence are kept
WHOLE = 1 << 24  # stretches that equal sequences count for
SHARED = K + WINDOW - 1  # bases in a row make a relative; as many as minimizers are sure to find
SHARED_PART = 0.1  # of the shorter sequence, where that is more: a repeat in 10 kb makes no relatives
NEAR = 0.8  # of 2 K overlapping bases or more do as well; stretches of 20 come by chance among millions


class Part(NamedTuple):
    """Sequences of a store as they stand on sides: one whose rows are on two sides comes twice."""

    store: Store
    sequence: np.ndarray  # (E,) which stored sequence
    side: np.ndarray  # (E,)


class Relations(NamedTuple):
    """Entries that have a relative, each with its closest one; entries are counted through all parts."""

    entry: np.ndarray  # (M,)
    partner: np.ndarray  # (M,) always of a training row
    kind: np.ndarray  # (M,) index into KINDS
    offset: np.ndarray  # (M,) where the partner's first stored base lies, counted from the entry's
    flipped: np.ndarray  # (M,) bool: the partner is read on the other strand
    overlap: np.ndarray  # (M,) bases that lie on each other, those of constant flanks left out
    matches: np.ndarray  # (M,) of these, how many are equal


def part_of(store: Store, side: np.ndarray) -> tuple[Part, np.ndarray]:
    """Return a store's entries and which of them each row reads (N,); side (N,) says where a row stands."""
    sequence = store.sequence_of(np.arange(len(store)))
    width = int(side.max()) + 2
    found, entry = np.unique(sequence.astype(np.int64) * width + side + 1, return_inverse=True)
    return Part(store, found // width, found % width - 1), entry


def find_relations(
    parts: Sequence[Part], advance: Callable[[float], object] | None = None
) -> tuple[Relations, Relations]:
    """Return the closest relatives across sides, and those of training sequences on any side.

    The sequences of test rows are compared with those of training rows alone. advance is called with the
    number of entries that each piece of the work amounts to.
    """
    search = _Search(parts)
    for number in range(search.num_passes):
        search.gather(number, advance)
    return search.align(search.across), search.align(search.anywhere)


class _Search:
    """The entries, and the best candidates so far."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.first = np.cumsum([0, *(len(part.sequence) for part in parts)])
        self.count = int(self.first[-1])
        self.side = np.concatenate([part.side for part in parts])
        self.flanks = [constant_flanks(part.store.tokens, part.store.lengths) for part in parts]
        lengths = [np.asarray(part.store.lengths)[part.sequence] for part in parts]
        self.lengths = np.concatenate(
            [_core_lengths(each, *flanks) for each, flanks in zip(lengths, self.flanks, strict=True)]
        )
        self.whole_lengths = np.concatenate(lengths)
        bases = int(self.lengths.sum())
        self.exact = self.count <= EXACT_SEQUENCES and bases <= EXACT_BASES
        stretches = bases if self.exact else 2 * bases // (WINDOW + 1)
        self.bucket_bits = max(4, (stretches // BUCKET_STRETCHES).bit_length())
        self.num_passes = -(-stretches // PASS_STRETCHES) or 1
        self.entry_bits = max(1, (self.count - 1).bit_length())
        self.start_bits = int(self.lengths.max()).bit_length()
        assert 2 * self.entry_bits + self.start_bits + 2 <= 64, (self.count, int(self.lengths.max()))
        self.across, self.anywhere = _Candidates(self), _Candidates(self)

    def blocks(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yield the first entry, the tokens and the lengths of blocks of entries, constant flanks cut off."""
        for number, part in enumerate(self.parts):
            step = max(1, BLOCK_BASES // part.store.tokens.shape[1])
            for start in range(0, len(part.sequence), step):
                yield (int(self.first[number]) + start, *self.cores(number, slice(start, start + step)))

    def cores(
        self, number: int, entries: slice | np.ndarray, *, cut: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return tokens and lengths of some entries of a part, constant flanks cut off."""
        part = self.parts[number]
        sequence = part.sequence[entries]
        left, right = self.flanks[number] if cut else (0, 0)
        return strip(part.store.tokens[sequence], part.store.lengths[sequence], left, right)

    def gather(self, number: int, advance: Callable[[float], object] | None) -> None:
        """Find the candidates among the stretches of one range of hashes."""
        buckets: list[list[np.ndarray]] = [[] for _ in range(1 << self.bucket_bits)]
        own: list[np.ndarray] = []
        mine = np.arange(len(buckets)) % self.num_passes == number
        for first, tokens, lengths in self.blocks():
            if number == 0:
                other = hash_tokens(reverse_complement(tokens, lengths))
                own.append(np.stack([hash_tokens(tokens), other, (tokens < N).any(axis=1)]))
            for bucket, keys in self._split(self._keys(first, tokens), mine):
                buckets[bucket].append(keys)
            if advance is not None:
                advance(len(tokens) / self.num_passes)
        if own:
            self._pair_whole(np.concatenate(own, axis=1))
        for keys_of_bucket in buckets:
            if keys_of_bucket:
                self._pair_stretches(np.sort(np.concatenate(keys_of_bucket)))
                keys_of_bucket.clear()

    def _keys(self, first: int, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return each stretch's bucket, and its hash, entry, start and strand in one number."""
        row, start, hashes, flipped = signatures(tokens, self.exact)
        low = np.uint64(self.entry_bits + self.start_bits + 1)
        keys = hashes << np.uint64(self.bucket_bits) >> low << low
        keys |= (row + first).astype(np.uint64) << np.uint64(self.start_bits + 1)
        keys |= start.astype(np.uint64) << np.uint64(1) | flipped
        return (hashes >> np.uint64(64 - self.bucket_bits)).astype(np.uint16), keys

    def _split(
        self, keys: tuple[np.ndarray, np.ndarray], mine: np.ndarray
    ) -> Iterator[tuple[int, np.ndarray]]:
        bucket, values = keys
        order = np.argsort(bucket, kind="stable")
        borders = np.searchsorted(bucket[order], np.arange(len(mine) + 1))
        values = values[order]
        for number in np.flatnonzero(mine & (np.diff(borders) > 0)):
            yield int(number), values[borders[number] : borders[number + 1]]

    def _pair_stretches(self, keys: np.ndarray) -> None:
        """Take as candidates what shares a stretch; keys are sorted."""
        value = keys >> np.uint64(self.entry_bits + self.start_bits + 1)
        kept = _repeated(value)
        keys, value = keys[kept], value[kept]
        entry = (keys >> np.uint64(self.start_bits + 1)).astype(np.int64) & ((1 << self.entry_bits) - 1)
        start = (keys >> np.uint64(1)).astype(np.int64) & ((1 << self.start_bits) - 1)
        flipped = (keys & np.uint64(1)).astype(bool)
        for candidates, one, other in self._pairs(value, entry):
            flip = flipped[one] ^ flipped[other]
            turned = self.lengths[entry[other]] - K - start[other]
            offset = start[one] - np.where(flip, turned, start[other])
            candidates.add(entry[one], entry[other], offset, flip)

    def _pair_whole(self, hashes: np.ndarray) -> None:
        """Take as candidates what is equal as a whole; (3, E): hashes of both strands, if it has bases."""
        own = hashes[:2].min(axis=0)
        order = np.argsort(own, kind="stable")
        order = order[hashes[2][order] > 0]
        kept = _repeated(own[order])
        entry, flipped = order[kept], hashes[1] < hashes[0]
        for candidates, one, other in self._pairs(own[entry], entry):
            flip = flipped[entry[one]] ^ flipped[entry[other]]
            candidates.add(entry[one], entry[other], np.zeros(len(one), np.int64), flip, votes=WHOLE)

    def _pairs(
        self, value: np.ndarray, entry: np.ndarray
    ) -> Iterator[tuple["_Candidates", np.ndarray, np.ndarray]]:
        """Yield places (M,) of an entry and of a partner with an equal value; values are sorted."""
        if not len(value):
            return
        side = self.side[entry]
        is_train = side != TEST
        for candidates, label, who in (
            (self.across, side, np.ones_like(is_train)),
            (self.anywhere, entry, is_train),
        ):
            one, other = _partners(value, label, is_train)
            chosen = who[one]
            yield candidates, one[chosen], other[chosen]

    def align(self, candidates: "_Candidates") -> Relations:
        """Lay the best candidate of every entry on it, and keep those that are relatives."""
        entry, partner, offset, flipped = candidates.best()
        overlap, matches, stretch = (np.empty(len(entry), np.int64) for _ in range(3))
        whole = np.empty(len(entry), dtype=bool)
        step = max(1, BLOCK_BASES // max(part.store.tokens.shape[1] for part in self.parts))
        for start in range(0, len(entry), step):
            rows = slice(start, start + step)
            one, other = self._read(entry[rows]), self._read(partner[rows], flipped[rows])
            overlap[rows], matches[rows], stretch[rows] = _compare(one, other, offset[rows])
            one, other = (
                self._read(entry[rows], cut=False),
                self._read(partner[rows], flipped[rows], cut=False),
            )
            whole[rows] = (one == other).all(axis=1)
        cores = (overlap == self.lengths[entry]) & (overlap == self.lengths[partner])
        equal = matches == overlap
        whole |= cores & equal
        kind = np.select([whole & ~flipped, whole, equal], [0, 1, 2], 3)
        shorter = np.minimum(self.lengths[entry], self.lengths[partner])
        most = np.minimum(shorter, 2 * K)
        least = np.maximum(SHARED, SHARED_PART * shorter)
        kept = whole | (stretch >= least) | (overlap >= most) & (matches >= NEAR * overlap)
        offset = offset + self._cut(entry, False) - self._cut(partner, flipped)
        return Relations(*(x[kept] for x in (entry, partner, kind, offset, flipped, overlap, matches)))

    def _cut(self, entries: np.ndarray, flipped: np.ndarray | bool) -> np.ndarray:
        """Return how many bases were cut off an entry's left end, or off its right where it is flipped."""
        flanks = np.array(self.flanks)[np.searchsorted(self.first, entries, side="right") - 1]
        cut = np.where(flipped, flanks[:, 1], flanks[:, 0])
        return np.where(self.whole_lengths[entries] > flanks.sum(axis=1), cut, 0)

    def _read(
        self, entries: np.ndarray, flipped: np.ndarray | None = None, *, cut: bool = True
    ) -> np.ndarray:
        """Return the tokens of entries in any order (n, L), some of them on the other strand."""
        width = max(part.store.tokens.shape[1] for part in self.parts)
        tokens = np.full((len(entries), width), PAD, dtype=np.uint8)
        lengths = np.empty(len(entries), dtype=np.int64)
        number = np.searchsorted(self.first, entries, side="right") - 1
        for each, part in enumerate(self.parts):
            rows = np.flatnonzero(number == each)
            core, lengths[rows] = self.cores(each, entries[rows] - self.first[each], cut=cut)
            tokens[rows, : part.store.tokens.shape[1]] = core
        if flipped is not None and flipped.any():
            tokens[flipped] = reverse_complement(tokens[flipped], lengths[flipped])
        return tokens


class _Candidates:
    """Pairs of an entry and a partner at an offset, and how many stretches speak for each."""

    def __init__(self, search: _Search) -> None:
        self.entry_bits, self.bias = search.entry_bits, 1 << search.start_bits
        self.offset_bits = search.start_bits + 1
        self.keys, self.votes = np.empty(0, np.uint64), np.empty(0, np.int64)
        self.waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self.num_waiting = 0

    def add(
        self, entry: np.ndarray, partner: np.ndarray, offset: np.ndarray, flip: np.ndarray, votes: int = 1
    ) -> None:
        key = entry << self.entry_bits | partner
        key = (key.astype(np.uint64) << np.uint64(self.offset_bits)) | (offset + self.bias).astype(np.uint64)
        keys, counts = np.unique(key << np.uint64(1) | flip, return_counts=True)
        self.waiting.append((keys, counts * votes))
        self.num_waiting += len(keys)
        if self.num_waiting > MOST_CANDIDATES:
            self._merge()
            best = self._best()
            self.keys, self.votes = self.keys[best], self.votes[best]

    def _merge(self) -> None:
        keys = np.concatenate([self.keys, *(keys for keys, _ in self.waiting)])
        votes = np.concatenate([self.votes, *(votes for _, votes in self.waiting)])
        self.waiting, self.num_waiting = [], 0
        order = np.argsort(keys, kind="stable")
        keys, votes = keys[order], votes[order]
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)])
        self.keys, self.votes = keys[starts], np.add.reduceat(votes, starts) if len(starts) else votes

    def _best(self) -> np.ndarray:
        """Return the place of the candidate with most votes of every entry."""
        entry = self.keys >> np.uint64(self.entry_bits + self.offset_bits + 1)
        order = np.lexsort((-self.votes, entry))
        ordered = entry[order]
        return np.sort(order[np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(order)]])

    def best(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return entry, partner, offset and flip of the best candidate of every entry."""
        self._merge()
        keys = self.keys[self._best()]
        pair = (keys >> np.uint64(self.offset_bits + 1)).astype(np.int64)
        offset = (keys >> np.uint64(1)).astype(np.int64) & ((1 << self.offset_bits) - 1)
        flip = (keys & np.uint64(1)).astype(bool)
        return pair >> self.entry_bits, pair & ((1 << self.entry_bits) - 1), offset - self.bias, flip


def _core_lengths(lengths: np.ndarray, left: int, right: int) -> np.ndarray:
    return np.where(lengths > left + right, lengths - left - right, lengths).astype(np.int64)


def _repeated(values: np.ndarray) -> np.ndarray:
    """Return which of sorted values (N,) come more than once."""
    same = values[1:] == values[:-1]
    return np.concatenate([same, [False]])[: len(values)] | np.concatenate([[False], same])[: len(values)]


def _partners(value: np.ndarray, label: np.ndarray, is_train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return places (M,) with a partner, and of the partner: a training one of equal value, another label.

    values are sorted. The partner is the first training entry of the run, or for those with its label the
    first with another, so that the pairs of a run are no more than its entries.
    """
    count = len(value)
    starts = np.flatnonzero(np.concatenate([[True], value[1:] != value[:-1]]))
    run = np.repeat(np.arange(len(starts)), np.diff(starts, append=count))
    place = np.arange(count)
    first = np.minimum.reduceat(np.where(is_train, place, count), starts)[run]
    alike = label == label[np.minimum(first, count - 1)]
    second = np.minimum.reduceat(np.where(is_train & ~alike, place, count), starts)[run]
    partner = np.where(alike, second, first)
    found = np.flatnonzero(partner < count)
    return found, partner[found]


def _compare(
    one: np.ndarray, other: np.ndarray, offset: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return overlap, matches and longest run of matches (n,) of other laid on one (n, L) at offset (n,)."""
    width = one.shape[1]
    column = np.arange(width)
    place = column - offset[:, None]
    inside = (place >= 0) & (place < width) & (one < PAD)
    moved = np.take_along_axis(other, place.clip(0, width - 1), axis=1)
    inside &= moved < PAD
    equal = inside & (one == moved)
    gap = np.maximum.accumulate(np.where(equal, -1, column), axis=1)
    return inside.sum(axis=1), equal.sum(axis=1), np.where(equal, column - gap, 0).max(axis=1)
