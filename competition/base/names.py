"""Names that become files and folders: none leads out of the folder that it stands in."""

import re

from competition.base.errors import InputError

PLAIN = re.compile(r"[^\W_][\w.-]{0,63}")
SPACED = re.compile(r"[^\W_][\w. +-]{0,127}")  # a challenge has the name of its table, often a download's


def require_name(name: str, what: str, *, spaced: bool = False) -> None:
    """Raise InputError where a name is no plain name of one file; spaced allows spaces and is longer.

    What begins with a dot is hidden, and what begins with a dash would be taken for an option.
    """
    if not (SPACED if spaced else PLAIN).fullmatch(name) or len(name.encode()) > 200:
        raise InputError(
            f"{what} {name!r}: wanted letters, digits, '.', '_' and '-', a letter or digit first"
        )
