"""Sequence letters as one-byte tokens: the only encoding in the kit.

A C G T are 0..3, N is 4, the other IUPAC letters are 5..14 and PAD (outside the sequence) is 15.
"""

from collections.abc import Callable, Sequence

import numpy as np

from competition.base.errors import InputError

LETTERS = "ACGTNRYSWKMBDHV"
N = LETTERS.index("N")
PAD = 15
ILLEGAL = 255

# How a table writes that there is no sequence; NA and NaN are IUPAC letters, so they would pass as bases.
MISSING = frozenset({"NA", "NAN", "NONE", "NULL"})
MISSING_WANTED = "wanted bases, or no row"
PROTEIN = frozenset("EFILPQZ*XJO")  # letters of proteins that are none of DNA

# Which bases an IUPAC letter stands for (Cornish-Bowden, Nucleic Acids Research 1985).
BASES = {
    "A": "A", "C": "C", "G": "G", "T": "T", "N": "ACGT",
    "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
    "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG",
}  # fmt: skip


def _translation() -> bytes:
    table = np.full(256, ILLEGAL, dtype=np.uint8)
    for token, letter in enumerate(LETTERS):
        table[[ord(letter), ord(letter.lower())]] = token
    table[[ord("U"), ord("u")]] = LETTERS.index("T")
    return table.tobytes()


def _complement() -> np.ndarray:
    pairing = str.maketrans("ACGT", "TGCA")
    by_bases = {frozenset(bases): token for token, bases in enumerate(BASES[x] for x in LETTERS)}
    tokens = [by_bases[frozenset(BASES[letter].translate(pairing))] for letter in LETTERS]
    return np.array([*tokens, PAD], dtype=np.uint8)


TRANSLATE = _translation()  # byte -> token, ILLEGAL for everything that is not an IUPAC letter
COMPLEMENT = _complement()  # token -> token of the paired base
_LETTER_OF = np.frombuffer((LETTERS + " ").encode(), dtype=np.uint8)


def encode(
    sequences: Sequence[str], *, name: str = "sequence", lines: Sequence[int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Encode sequences as left-aligned, PAD-filled tokens.

    Returns tokens (N, L) uint8 with L the longest length, and lengths (N,) int32.
    Raises InputError with the row, the character and its position (both counted from 0), or with the line of
    a file where lines (N,) are given.
    """
    if not len(sequences):
        raise InputError(f"{name}: there are no rows; wanted at least one")
    lengths = np.fromiter(map(len, sequences), dtype=np.int32, count=len(sequences))

    def place(row: int) -> str:
        return f"{name}: row {row}" if lines is None else f"{name}: line {lines[row]}"

    _require_sequences(sequences, lengths, place)
    joined = "".join(sequences).encode("latin-1", errors="replace")
    flat = np.frombuffer(joined.translate(TRANSLATE), dtype=np.uint8)

    def describe(index: int) -> str:
        row = int(np.searchsorted(lengths.cumsum(), index, side="right"))
        position = index - int(lengths[:row].sum())
        return f"{place(row)} has {sequences[row][position]!r} at position {position}"

    check_letters(flat, describe)
    tokens = np.full((len(sequences), lengths.max()), PAD, dtype=np.uint8)
    tokens[np.arange(tokens.shape[1]) < lengths[:, None]] = flat
    return tokens, lengths


def _require_sequences(sequences: Sequence[str], lengths: np.ndarray, place: Callable[[int], str]) -> None:
    """Raise InputError where a sequence is empty, or a word for a missing value."""
    if lengths.min() == 0:
        raise InputError(f"{place(int(lengths.argmin()))} has no sequence; wanted at least one letter")
    for row in map(int, np.flatnonzero(lengths <= max(map(len, MISSING)))):
        if sequences[row].upper() in MISSING:
            raise InputError(f"{place(row)} has {sequences[row]!r} for a sequence; {MISSING_WANTED}")


def refuse_missing(tokens: np.ndarray, lengths: np.ndarray, place: Callable[[int], str]) -> None:
    """Raise InputError where a sequence, of tokens (N, L) and lengths (N,), is the word NA or NaN."""
    short = np.flatnonzero(lengths <= max(map(len, MISSING)))
    for row, text in zip(short, decode(tokens[short]), strict=True):
        if text in MISSING:
            raise InputError(f"{place(int(row))} has {text!r} for a sequence; {MISSING_WANTED}")


def check_letters(tokens: np.ndarray, describe: Callable[..., str]) -> None:
    """Raise InputError where a byte was no IUPAC letter; describe(*index) says which and where."""
    first = int(tokens.argmax())  # ILLEGAL is the largest byte
    if tokens.flat[first] == ILLEGAL:
        index = (int(each) for each in np.unravel_index(first, tokens.shape))
        found = describe(*index)
        letter = found.rpartition(" has '")[2][:1].upper()
        hint = f": {letter} is a letter of proteins" if letter in PROTEIN else ""
        raise InputError(f"{found}; wanted IUPAC letters ({LETTERS} or U){hint}")


def decode(tokens: np.ndarray) -> list[str]:
    """Write tokens (N, L) as strings; PAD is dropped."""
    letters = _LETTER_OF[tokens]
    return [row.tobytes().decode().replace(" ", "") for row in letters]


def reverse_complement(tokens: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
    """Reverse-complement tokens (N, L); with lengths (N,) the result stays left-aligned."""
    flipped: np.ndarray = COMPLEMENT[tokens[:, ::-1]]
    if lengths is None:
        return flipped
    width = tokens.shape[1]
    index = np.arange(width) + (width - np.asarray(lengths, dtype=np.int64))[:, None]
    return np.where(index < width, np.take_along_axis(flipped, index.clip(max=width - 1), 1), PAD)


def planes(encoding: str) -> np.ndarray:
    """Return the (16, C) float32 table that turns tokens into channels.

    "acgt": N and every ambiguity letter are zeros; "acgtn": whatever is not A, C, G or T is 1 in a fifth
    plane, PAD included; "iupac": a letter is shared evenly by the bases it stands for, N is four quarters.
    PAD is zeros in "acgt" and "iupac".
    """
    if encoding not in ("acgt", "acgtn", "iupac"):
        raise InputError(f"encoding {encoding!r} is unknown; wanted acgt, acgtn, iupac or tokens")
    table = np.zeros((16, 5 if encoding == "acgtn" else 4), dtype=np.float32)
    table[:4, :4] = np.eye(4)
    if encoding == "acgtn":
        table[4:, 4] = 1
    if encoding == "iupac":
        for token, letter in enumerate(LETTERS):
            bases = BASES[letter]
            table[token, ["ACGT".index(base) for base in bases]] = 1 / len(bases)
    return table
