"""Show homologous sequences, one above the other."""

import numpy as np

from competition.auditing.alignment import HOMOLOG_KINDS, Homologs
from competition.auditing.rows import Rows
from competition.data.tokens import decode, reverse_complement

SHOWN_BASES = 110


def homolog_examples(rows: Rows, homologs: Homologs, entry_of_row: np.ndarray) -> tuple[str, ...]:
    """Show one aligned pair of each kind, among the rows with these entries (N,)."""
    mine = np.isin(homologs.entry, entry_of_row)
    places = [np.flatnonzero(mine & (homologs.kind == number)) for number in range(len(HOMOLOG_KINDS))]
    return tuple(_show_pair(rows, homologs, int(found[0])) for found in places if len(found))


def _show_pair(rows: Rows, homologs: Homologs, place: int) -> str:
    """Write two sequences where they overlap, with a bar between equal bases; cut where that is long."""
    entry, partner = int(homologs.entry[place]), int(homologs.partner[place])
    overlap, matches = int(homologs.overlap[place]), int(homologs.matches[place])
    shift, flipped = int(homologs.offset[place]), bool(homologs.flipped[place])
    one, other = rows.tokens(entry), rows.tokens(partner)
    other = reverse_complement(other) if flipped else other
    above, below = (decode(tokens)[0] for tokens in (one[:, max(shift, 0) :], other[:, max(-shift, 0) :]))
    length = min(len(above), len(below), SHOWN_BASES)
    bars = "".join("|" if a == b else " " for a, b in zip(above[:length], below[:length], strict=True))
    bases = f"{matches} of {overlap} bases" if matches < overlap else f"{overlap} bases"
    where = (f", shifted by {abs(shift)}" if shift else "") + (", other strand" if flipped else "")
    kind = HOMOLOG_KINDS[homologs.kind[place]]
    head = f"{kind}: {rows.name(entry)} and {rows.name(partner)}, {bases}{where}"
    return "\n".join([head, *(f"  {line}" for line in (above[:length], bars, below[:length]))])
