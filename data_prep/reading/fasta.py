"""Read windows of a genome in FASTA without loading it: a memory map and an index made in one pass."""

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from competition.base.errors import InputError
from competition.data.tokens import TRANSLATE, N, check_letters, reverse_complement

SCAN_BYTES = 1 << 24
BGZF_EXTRA = slice(12, 14)  # where a block of bgzip has the letters BC (SAM specification, section 4.1)


class Record(NamedTuple):
    """Where a chromosome lies in the file; the columns of a .fai index (samtools)."""

    length: int
    offset: int  # of its first base
    line_bases: int
    line_bytes: int  # with the line's end


@dataclass(frozen=True)
class Genome:
    """Chromosomes of which any window can be read."""

    path: Path
    lengths: dict[str, int]  # by name, in the order of the file
    read: Callable[[str, int, int], bytes]  # the letters of 0-based [first, last) of a chromosome

    def window(self, chromosome: str, start: int, stop: int) -> np.ndarray:
        """Return the tokens (stop - start,) uint8 of 0-based [start, stop); N beyond either end."""
        tokens = np.full(stop - start, N, dtype=np.uint8)
        first, last = max(start, 0), min(stop, self.lengths[chromosome])
        if first >= last:
            return tokens
        letters = self.read(chromosome, first, last)
        inside = np.frombuffer(letters.translate(TRANSLATE), dtype=np.uint8)
        assert len(inside) == last - first, (chromosome, first, last, len(inside))
        check_letters(
            inside,
            lambda at: f"{self.path}: {chromosome} has {chr(letters[at])!r} at base {first + at + 1}",
        )
        tokens[first - start : last - start] = inside
        return tokens

    def around(self, chromosome: str, position: int, window: tuple[int, int], strand: str) -> np.ndarray:
        """Return the tokens (stop - start,) of a window [start, stop) counted from a 1-based position.

        The window runs along the strand: on "-" the genome is read backwards and complemented, so that
        upstream is left and the position is at index -start on both strands.
        """
        start, stop = window
        base = position - 1
        if strand == "+":
            return self.window(chromosome, base + start, base + stop)
        # Index i of the window is the base i + start downstream of the position: base - (i + start).
        forward = self.window(chromosome, base - stop + 1, base - start + 1)
        return np.asarray(reverse_complement(forward[None])[0])


def open_genome(path: Path) -> Genome:
    """Open a FASTA file, plain or made by bgzip; InputError where it is no FASTA or has ragged lines."""
    try:
        with path.open("rb") as file:
            head = file.read(18)
            if head[:2] == b"\x1f\x8b":
                return _open_bgzip(path, head)
            if not head.startswith(b">"):
                raise InputError(f"{path} does not begin with '>'; wanted a genome in FASTA")
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    records = index(data, path)

    def read(chromosome: str, first: int, last: int) -> bytes:
        record = records[chromosome]
        return data[_place(record, first) : _place(record, last - 1) + 1].translate(None, b"\r\n")

    return Genome(path, {name: record.length for name, record in records.items()}, read)


def index(data: mmap.mmap, path: Path) -> dict[str, Record]:
    """Return the records of a FASTA file by name: the first word after '>'."""
    records: dict[str, Record] = {}
    start = 0
    while start >= 0:
        following = data.find(b"\n>", start) + 1 or len(data)
        line_end = data.find(b"\n", start, following)
        header = data[start + 1 : line_end if line_end >= 0 else following].split()
        name = header[0].decode("utf-8", "replace") if header else ""
        if not name or name in records:
            raise InputError(f"{path}: record {name!r} comes twice or has no name; wanted different names")
        records[name] = _measure(data, line_end + 1 if line_end >= 0 else following, following, name, path)
        start = following if following < len(data) else -1
    return records


def _measure(data: mmap.mmap, offset: int, stop: int, name: str, path: Path) -> Record:
    """Measure a record whose bases fill [offset, stop) of the file."""
    while stop > offset and data[stop - 1 : stop].isspace():
        stop -= 1
    if stop == offset:
        raise InputError(f"{path}: record {name!r} has no bases")
    line_end = data.find(b"\n", offset, stop)
    if line_end < 0:
        return Record(stop - offset, offset, stop - offset, stop - offset + 1)
    line_bytes = line_end + 1 - offset
    line_bases = line_bytes - 1 - (data[line_end - 1 : line_end] == b"\r")
    lines, rest = divmod(stop - offset, line_bytes)
    # All but the last line must be as long as the first, or a base would not be where it is looked for.
    ends = data[line_end:stop:line_bytes]
    if rest > line_bases or ends.count(b"\n") != lines or _count_lines(data, offset, stop) != lines:
        raise InputError(f"{path}: record {name!r} has lines of different lengths; wanted {line_bases} bases")
    return Record(lines * line_bases + rest, offset, line_bases, line_bytes)


def _count_lines(data: mmap.mmap, offset: int, stop: int) -> int:
    pieces = range(offset, stop, SCAN_BYTES)
    return sum(data[piece : min(piece + SCAN_BYTES, stop)].count(b"\n") for piece in pieces)


def _place(record: Record, base: int) -> int:
    """Return where in the file a base lies."""
    lines, column = divmod(base, record.line_bases)
    return record.offset + lines * record.line_bytes + column


def _open_bgzip(path: Path, head: bytes) -> Genome:
    if head[BGZF_EXTRA] != b"BC":
        raise InputError(
            f"{path} is gzipped, so its middle cannot be read; "
            "wanted it unpacked (gunzip), or compressed by bgzip"
        )
    try:
        from pyfaidx import Faidx

        faidx = Faidx(str(path), as_raw=True)  # writes path.fai and path.gzi where they are missing
    except ImportError:
        raise InputError(
            f"{path} is compressed by bgzip, which pyfaidx and Biopython read; run: pip install "
            "'expression-competition[fasta]', or unpack it (gunzip)"
        ) from None

    def read(chromosome: str, first: int, last: int) -> bytes:
        return str(faidx.fetch(chromosome, first + 1, last)).encode("latin-1", "replace")

    return Genome(path, {name: entry.rlen for name, entry in faidx.index.items()}, read)
