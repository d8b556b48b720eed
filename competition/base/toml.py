"""Write TOML: the standard library reads it but does not write it."""

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from competition.base.errors import InputError


def dumps(document: Mapping[str, object]) -> str:
    """Write a nested mapping of str, bool, int, float, list and mapping as TOML; None is left out."""
    return "".join(_table(document, ())).lstrip("\n")


def load(path: Path) -> dict[str, Any]:
    """Read a TOML file, of whose form the caller knows; InputError where it is missing or malformed."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; wanted a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from None


def _table(table: Mapping[str, object], path: tuple[str, ...]) -> list[str]:
    lines = [f"\n[{'.'.join(map(_key, path))}]\n"] if path else []
    lines += [
        f"{_key(k)} = {_value(v)}\n"
        for k, v in table.items()
        if v is not None and not isinstance(v, Mapping) and not _tables(v)
    ]
    for key, value in table.items():
        if isinstance(value, Mapping):
            lines += _table(value, (*path, key))
        for item in _tables(value):
            lines.append(f"\n[[{'.'.join(map(_key, (*path, key)))}]]\n")
            lines += [f"{_key(k)} = {_value(v)}\n" for k, v in item.items() if v is not None]
    return lines


def _tables(value: object) -> Sequence[Mapping[str, object]]:
    """Return the tables of a value that is a list of them; none of anything else."""
    return value if isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping) else []


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if bare else _string(key)


def _string(text: str) -> str:
    """Write a basic string: JSON's form, but for the one control character that JSON lets through."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else str(float(value))
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, (str, int)):
        return _string(value) if isinstance(value, str) else str(value)
    raise TypeError(f"TOML has no form for {type(value).__name__}: {value!r}")
