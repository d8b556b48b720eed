"""The plasmid around the inserts of DREAM 2022, plasmid.json."""

from pathlib import Path

from competition.base.errors import InputError
from data_prep.reading.files import read_json
from data_prep.standards.yeast_construct import INSERT_BASES, LEFT_ADAPTER, RIGHT_ADAPTER

FLANK = 150  # plasmid bases kept on either side of the stored sequence
INSERT_MARK = "N" * INSERT_BASES  # where the plasmid's sequence holds the insert


def flanks(path: Path) -> tuple[str, str]:
    """Return the plasmid's bases on either side of the stored sequences, which bring their own adapters."""
    found = read_json(path)
    plasmid = found if isinstance(found, str) else ""
    start = plasmid.find(INSERT_MARK)
    if start < 0:
        raise InputError(f"{path} holds no run of {len(INSERT_MARK)} N; wanted the plasmid, its insert as N")
    stop = start + len(INSERT_MARK)
    left, right = len(LEFT_ADAPTER), len(RIGHT_ADAPTER)
    around = plasmid + plasmid  # it is circular
    return around[start - left - FLANK : start - left], around[stop + right : stop + right + FLANK]
