"""Turn long sequences, a line each, into tokens; a mistake is reported by its line."""

import numpy as np

from competition.base.errors import InputError
from competition.data.tokens import TRANSLATE, check_letters


def encode_line(sequence: bytes, *, length: int, where: str) -> np.ndarray:
    """Encode one sequence of the length that is wanted: tokens (length,) uint8; where names file and line."""
    if len(sequence) != length:
        raise InputError(f"{where} has a sequence of {len(sequence):,} bases; wanted {length:,}")
    tokens = np.frombuffer(sequence.translate(TRANSLATE), dtype=np.uint8)
    check_letters(
        tokens, lambda index: f"{where} has {chr(sequence[index])!r} at position {index} of its sequence"
    )
    return tokens
