"""Join sequences of a FASTA file to rows by their ids."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from competition.base.errors import InputError
from data_prep.reading.files import open_bytes
from data_prep.reading.rows import Piece


class Join:
    """Give each row the sequence of the FASTA record of its id; the letters stay on disk."""

    def __init__(self, path: Path, column: str, scratch: Path, *, skip: bool) -> None:
        """Read a FASTA file; rows without a record get an empty sequence where these are skipped later."""
        self.path, self.column, self.skip = path, column, skip
        self.letters = scratch / "letters"
        self.place = read_fasta(path, self.letters)
        self.used = np.zeros(len(self.place), dtype=bool)

    @property
    def note(self) -> str:
        surplus = np.flatnonzero(~self.used)
        if not len(surplus):
            return ""
        name = next(name for name, (number, _, _) in self.place.items() if number == surplus[0])
        count = f"{len(surplus):,} of {len(self.used):,} records"
        return f"{self.path}: {count} are of no row that is taken, such as {name!r}"

    def __call__(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        self.used[:] = False
        missing: list[str] = []
        with self.letters.open("rb") as file:
            for piece in pieces:
                sequences = []
                for name in piece.ids:
                    number, start, length = self.place.get(name, (-1, 0, 0))
                    if number < 0:
                        missing.append(name)
                    else:
                        self.used[number] = True
                    file.seek(start)
                    sequences.append(file.read(length).decode("latin-1"))
                rows = piece.rows.assign(**{self.column: sequences})
                piece = piece._replace(rows=rows)
                yield piece if self.skip else piece.take(rows[self.column] != "")
        if missing and not self.skip:
            raise InputError(
                f"{self.path} has no record of {len(missing):,} rows, such as {missing[0]!r}; "
                "to leave such rows out: --skip-missing"
            )


def read_fasta(path: Path, letters: Path) -> dict[str, tuple[int, int, int]]:
    """Write the letters of all records to a file; return each one's number, first letter and length."""
    place: dict[str, tuple[int, int, int]] = {}
    name, start, stop = "", 0, 0
    with open_bytes(path) as file, letters.open("wb") as target:
        for line in file:
            if line.startswith(b">"):
                words = line[1:].split()
                name, start = words[0].decode("utf-8", "replace") if words else "", stop
                if not name or name in place:
                    raise InputError(f"{path}: record {name!r} comes twice or has no name; wanted new names")
            elif not name and line.strip():
                raise InputError(f"{path} does not begin with '>'; wanted sequences in FASTA")
            else:
                stop += target.write(line.strip())
            if name:
                place[name] = (place[name][0] if name in place else len(place), start, stop - start)
    if not place:
        raise InputError(f"{path} is empty; wanted sequences in FASTA")
    return place
