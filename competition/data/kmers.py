"""The k-mers of sequences, sorted, so that equal ones stand side by side.

Among at most 200,000 sequences every k-mer of 20 bases is looked at, and where they are short every spaced
k-mer of 12, which finds homology of four fifths; among more, the minimizers of each sequence (Roberts et al.,
Bioinformatics 2004: any shared run of k + w - 1 = 30 bases holds a common one).
"""

from collections.abc import Callable, Iterator

import numpy as np

from competition.data.cores import Cores, slide
from competition.data.flanks import K
from competition.data.hashing import mix

WINDOW = 11  # k-mers of which the smallest hash is kept
EXACT_SEQUENCES = 200_000
EXACT_BASES = 400_000_000  # beyond, only minimizers are compared
# Where spaced k-mers are: sixteen times so many are sorted, and pairs of equal ones come by chance.
SPACED_BASES, SPACED_LENGTH = 24_000_000, 1000
# Each reads the same from both ends, so one hash serves both strands. Chosen one by one out of all of 12 to
# 20 bases to find what those before it miss of 40 bases with 8 substitutions, anywhere or every 5 to 15.
SPACED = (
    "111101101101111", "1111001010101001111", "11011100100100111011", "11110100011000101111",
    "110111010010111011", "11010011100111001011", "1111110111111", "11101110001110111",
    "11101011000011010111", "11110011011001111", "11101001011010010111", "1110110010100110111",
    "1110101111010111", "1101101100011011011", "11011111111011", "111110101011111",
)  # fmt: skip
PASS_KMERS = 128_000_000  # gathered at a time: 8 bytes each
BUCKET_KMERS = 8_000_000  # sorted at a time
NOTHING = np.uint64(2**64 - 1)


def is_exact(cores: Cores) -> bool:
    """Return whether every k-mer is looked at."""
    return len(cores.lengths) <= EXACT_SEQUENCES and int(cores.lengths.sum()) <= EXACT_BASES


def spaced(cores: Cores) -> Iterator["Kmers"]:
    """Yield the searches by spaced k-mers, where there are few and short sequences."""
    short = int(cores.lengths.max()) <= SPACED_LENGTH and int(cores.lengths.sum()) <= SPACED_BASES
    if short and is_exact(cores):
        yield from (Kmers(cores, mask) for mask in SPACED)


class Kmers:
    """The k-mers of sequences that are compared, sorted: hash, sequence, start and strand in one number.

    They are gathered by ranges of their hash, in as many passes as memory asks for.
    """

    def __init__(self, cores: Cores, mask: str = "") -> None:
        self.cores, self.mask, self.exact = cores, mask, is_exact(cores)
        self.span = len(mask) or K
        bases = int((cores.lengths - self.span + 1).clip(min=0).sum())
        self.num_kmers = bases if self.exact else min(bases, 2 * bases // (WINDOW + 1) + len(cores.lengths))
        self.bucket_bits = (self.num_kmers // BUCKET_KMERS).bit_length()
        self.num_passes = -(-self.num_kmers // PASS_KMERS)
        self.entry_bits = max(1, (len(cores.lengths) - 1).bit_length())
        self.start_bits = int(cores.lengths.max()).bit_length()
        self.low_bits = np.uint64(self.entry_bits + self.start_bits + 1)

    def sorted_buckets(self, advance: Callable[[], object] | None = None) -> Iterator[np.ndarray]:
        """Yield all k-mers of one range of hashes after the other, those those alone left out."""
        for number in range(self.num_passes):
            buckets: list[list[np.ndarray]] = [[] for _ in range(1 << self.bucket_bits)]
            mine = np.arange(len(buckets)) % self.num_passes == number
            for first, bases in self.cores.blocks():
                for bucket, keys in self._split(first, bases, mine):
                    buckets[bucket].append(keys)
            if advance is not None:
                advance()
            for waiting in buckets:
                if waiting:
                    keys = np.sort(np.concatenate(waiting))
                    waiting.clear()
                    keys = keys[_repeated(keys >> self.low_bits)]
                    if len(keys):
                        yield keys

    def _split(self, first: int, bases: np.ndarray, mine: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the keys of a block of bases by their bucket."""
        hashes, flipped = kmer_hashes(bases, self.mask)
        keep = hashes != NOTHING
        if not self.exact:
            keep &= minimizers(hashes)
        row, start = np.nonzero(keep)
        hashes = hashes[keep]
        keys = hashes << np.uint64(self.bucket_bits) >> self.low_bits << self.low_bits
        keys |= (row + first).astype(np.uint64) << np.uint64(self.start_bits + 1)
        keys |= start.astype(np.uint64) << np.uint64(1) | flipped[keep]
        if len(mine) == 1:
            yield 0, keys
            return
        bucket = (hashes >> np.uint64(64 - self.bucket_bits)).astype(np.uint16)
        order = np.argsort(bucket, kind="stable")
        borders = np.searchsorted(bucket[order], np.arange(len(mine) + 1))
        keys = keys[order]
        for number in np.flatnonzero(mine & (np.diff(borders) > 0)):
            yield int(number), keys[borders[number] : borders[number + 1]]

    def read(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the hash, the sequence, the start and the strand of keys."""
        entry = (keys >> np.uint64(self.start_bits + 1)).astype(np.int64) & ((1 << self.entry_bits) - 1)
        start = (keys >> np.uint64(1)).astype(np.int64) & ((1 << self.start_bits) - 1)
        return keys >> self.low_bits, entry, start, (keys & np.uint64(1)).astype(bool)

    def lay(
        self, entry: np.ndarray, start: np.ndarray, flipped: np.ndarray, one: np.ndarray, other: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return for pairs of places both sequences, the offset of the other, and whether it is flipped."""
        flip = flipped[one] ^ flipped[other]
        turned = self.cores.lengths[entry[other]] - self.span - start[other]
        return entry[one], entry[other], start[one] - np.where(flip, turned, start[other]), flip


def _repeated(values: np.ndarray) -> np.ndarray:
    """Return which of sorted values (N,) come more than once."""
    same = values[1:] == values[:-1]
    repeated: np.ndarray = np.append(same, False)[: len(values)] | np.append(False, same)[: len(values)]
    return repeated


def kmer_hashes(tokens: np.ndarray, mask: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Hash every k-mer of tokens (N, L), the same for both strands: (N, L - k + 1) uint64.

    A k-mer has K bases, or those where the mask has a 1. NOTHING where it spans anything but A, C, G and T.
    The second array says which k-mers were hashed as they read on the other strand.
    """
    span = len(mask) or K
    if tokens.shape[1] < span:
        return np.empty((len(tokens), 0), dtype=np.uint64), np.empty((len(tokens), 0), dtype=bool)
    base = tokens & np.uint8(3)
    if mask:
        forward, backward = _pick(base, mask)
    else:
        base = base.astype(np.uint64)
        forward, backward = _pack(base, K), _pack(np.uint64(3) - base, K, backward=True)
    legal = slide(tokens < 4, span, np.logical_and)
    return np.where(legal, mix(np.minimum(forward, backward)), NOTHING), backward < forward


def _pick(base: np.ndarray, mask: str) -> tuple[np.ndarray, np.ndarray]:
    """Pack the bases of every spaced k-mer into 2 bits each, as they read on either strand."""
    places = [place for place, kept in enumerate(mask) if kept == "1"]
    width = base.shape[1] - len(mask) + 1
    forward, backward = (np.zeros((len(base), width), dtype=np.uint32) for _ in range(2))
    for number, place in enumerate(places):
        letters = base[:, place : place + width].astype(np.uint32)
        forward |= letters << np.uint32(2 * number)
        backward |= (letters ^ np.uint32(3)) << np.uint32(2 * (len(places) - 1 - number))
    return forward, backward


def _pack(base: np.ndarray, length: int, *, backward: bool = False) -> np.ndarray:
    """Pack each run of bases (N, L) uint64 into 2 bits a base, by doubling: (N, L - length + 1).

    The first base is the highest, or backward the lowest.
    """
    if length == 1:
        return base
    half = 1 << (length - 1).bit_length() - 1
    first = _pack(base, half, backward=backward)
    second = first if 2 * half == length else _pack(base, length - half, backward=backward)
    second = second[:, half:]
    first = first[:, : second.shape[1]]
    if backward:
        first, second, half = second, first, length - half
    packed: np.ndarray = (first << np.uint64(2 * (length - half))) | second
    return packed


def minimizers(hashes: np.ndarray) -> np.ndarray:
    """Return which hashes (N, L) are the smallest of some window of neighbours."""
    if not hashes.shape[1]:
        return np.zeros(hashes.shape, dtype=bool)
    width = min(WINDOW, hashes.shape[1])
    smallest = np.pad(slide(hashes, width, np.minimum), ((0, 0), (width - 1, width - 1)))
    chosen: np.ndarray = hashes == slide(smallest, width, np.maximum)
    return chosen
