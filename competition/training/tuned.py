"""tuned.toml beside a solution: what tuning found, a table a challenge, laid over the defaults."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from competition.base import toml
from competition.base.errors import InputError
from competition.base.files import write_text

FILE, ORIGIN = "tuned.toml", "_from"  # ORIGIN says which study found the values and with what gain


def read_tuned(folder: Path, challenge: str) -> dict[str, object]:
    """Return the Config fields that were tuned for a challenge; none where nothing was."""
    path = folder / FILE
    tables = toml.load(path) if path.exists() else {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise InputError(f"{path}: {name} = {table!r} stands alone; wanted a table [challenge] around it")
    return {name: value for name, value in tables.get(challenge, {}).items() if name != ORIGIN}


def write_tuned(folder: Path, challenge: str, changes: Mapping[str, object], note: str) -> Path:
    """Write the fields tuned for a challenge and where they come from; other challenges keep theirs."""
    path = folder / FILE
    tables = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    written = {name: "none" if value is None else value for name, value in changes.items()}
    tables[challenge] = {ORIGIN: note, **written}
    write_text(path, toml.dumps(tables))
    return path
