"""Libraries that not every user needs."""

import importlib
from types import ModuleType

from competition.base.errors import InputError


def import_extra(module: str, extra: str, what: str) -> ModuleType:
    """Import what reads such files; InputError with the command that installs it where it is absent."""
    try:
        return importlib.import_module(module)
    except ImportError:
        library = module.partition(".")[0]
        raise InputError(
            f"reading {what} needs {library}; run: pip install 'expression-competition[{extra}]'"
        ) from None
