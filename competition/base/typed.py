"""Read JSON of a declared type, and say whether a value is of it."""

import json
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard, TypeVar

from competition.base.errors import InputError

Typed = TypeVar("Typed")


def read_json(path: Path, kind: type[Typed]) -> Typed:
    """Read a JSON file of a type; InputError where it is missing, damaged or something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from None
    if not fits(value, kind):
        raise InputError(f"{path} is damaged: it does not hold what was written there")
    return value


def fits(value: object, kind: type[Typed]) -> TypeGuard[Typed]:
    """Say whether a JSON value is of a type, down to the items of mappings and lists.

    A whole number is a float, too; a bool is no number. Keys that a TypedDict does not name may be there.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if typing.is_typeddict(kind):
        return isinstance(value, dict) and _has_fields(value, kind)
    if origin in (dict, Mapping):
        return isinstance(value, dict) and all(fits(item, arguments[1]) for item in value.values())
    if origin is list:
        return isinstance(value, list) and all(fits(item, arguments[0]) for item in value)
    if arguments:
        return any(fits(value, option) for option in arguments)
    if isinstance(value, bool):
        return kind in (bool, object)
    return isinstance(value, (int, float) if kind is float else kind)


def _has_fields(value: dict[str, object], kind: type) -> bool:
    """Say whether a JSON object has the keys of a TypedDict, and values of their types."""
    hints = typing.get_type_hints(kind)
    known = all(fits(value[name], hint) for name, hint in hints.items() if name in value)
    required: frozenset[str] = vars(kind)["__required_keys__"]
    return known and required <= value.keys()
