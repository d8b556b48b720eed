"""The sequences of rows, as tokens."""

import numpy as np

from competition.data.tokens import encode
from data_prep.reading.columns import Columns
from data_prep.reading.rows import Piece


def encode_rows(piece: Piece, columns: Columns) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the tokens (n, L) and lengths (n,) of each sequence of the rows by its name."""
    tokens, lengths = {}, {}
    for name, column in columns.sequences.items():
        where = str(piece.path) if len(columns.sequences) == 1 else f"{piece.path}, {column}"
        sequences = piece.rows[column]
        tokens[name], lengths[name] = encode(sequences.to_list(), name=where, lines=sequences.index)
    return tokens, lengths
