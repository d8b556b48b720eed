"""challenge.toml: a declaration as text."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from competition.base import toml
from competition.base.errors import InputError, one_of
from competition.data.declaration import Declaration, InputSequence, Score, Target

# How a challenge with one sequence, called "sequence", declares it: at the top, without a table.
PLAIN = ("origin", "left_flank", "right_flank")


def to_toml(declaration: Declaration) -> str:
    """Format a declaration as the text of challenge.toml."""
    document = {
        "name": declaration.name,
        "title": declaration.title,
        "source": declaration.source,
        "licence": declaration.licence,
        **_sequences(declaration.sequences),
        "near_duplicates": declaration.near_duplicates,
        "row_weights": declaration.row_weights or None,
        "targets": [vars(target) for target in declaration.targets],
        "inputs": {name: list(shape) for name, shape in declaration.inputs.items()},
        "scores": [{k: v for k, v in vars(score).items() if v != {}} for score in declaration.scores],
        "subsets": dict(declaration.subsets),
        "rules": {
            "ensembles": declaration.ensembles,
            "tie_break": declaration.tie_break or None,
            "tie_bayes_factor": declaration.tie_bayes_factor,
        },
        "ceiling": dict(declaration.ceiling),
        "files": dict(declaration.files),
    }
    return toml.dumps({key: value for key, value in document.items() if value not in ("", {})})


def _sequences(sequences: Sequence[InputSequence]) -> dict[str, Any]:
    tables = [{name: value for name, value in vars(each).items() if value != ""} for each in sequences]
    if [(each.name, each.window) for each in sequences] != [("sequence", None)]:
        return {"sequences": tables}
    return {name: value for name, value in tables[0].items() if name in PLAIN}


def from_toml(path: Path) -> Declaration:
    """Read challenge.toml; InputError names an unknown or missing key."""
    document: dict[str, Any] = toml.load(path)
    try:
        document |= document.pop("rules", {})
        for name, kind in (("targets", Target), ("scores", Score)):
            document[name] = tuple(_make(kind, table, path) for table in document.get(name, []))
        plain = {name: document.pop(name) for name in PLAIN if name in document}
        if plain and "sequences" in document:
            raise InputError(f"{path} has both {next(iter(plain))} and [[sequences]]; wanted one of them")
        document["sequences"] = tuple(
            _make(InputSequence, {**table, **_window(table)}, path)
            for table in document.get("sequences", [plain])
        )
        document["inputs"] = {k: tuple(shape) for k, shape in document.get("inputs", {}).items()}
        declaration: Declaration = _make(Declaration, document, path)
    except (TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a declaration of a challenge: {error}") from None
    return declaration


def _window(table: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {"window": tuple(table["window"])} if "window" in table else {}


def _make(kind: Any, table: Mapping[str, Any], path: Path) -> Any:
    """Make a dataclass from a table of the file."""
    for key in table:
        if key not in (
            names := [*(each.name for each in fields(kind)), *(PLAIN if kind is Declaration else ())]
        ):
            raise one_of(f"key in {path}", key, names)
    for each in fields(kind):
        if each.name not in table and each.default is MISSING and each.default_factory is MISSING:
            raise InputError(f"{path}: a {kind.__name__.lower()} has no {each.name!r}; wanted it")
    return kind(**table)
