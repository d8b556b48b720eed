"""A solution: a folder that holds one model, loaded by path and configured without touching its source."""

import contextlib
import dataclasses
import hashlib
import importlib
import inspect
import re
import sys
import tomllib
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from competition.base.errors import InputError, one_of
from competition.data.challenge import Challenge
from competition.data.declaration import Declaration, Shapes
from competition.data.find import find_challenge
from competition.data.tokens import planes
from competition.training.opened import watched
from competition.training.recipe import TOKENS, Recipe, with_fields
from competition.training.tuned import FILE, read_tuned
from competition.training.windows import windows_of


@dataclass(frozen=True)
class Solution:
    """A loaded solution: its Config and its Model or Estimator."""

    name: str
    folder: Path
    Config: Any
    Model: Any | None
    Estimator: Any | None

    def input_names(self, declaration: Declaration) -> tuple[str, ...]:
        """Return the inputs that forward names; one with a default only where the challenge has it.

        An Estimator takes every input there is.
        """
        if self.Model is None:
            return declaration.input_names
        known = declaration.input_names
        parameters = list(inspect.signature(self.Model.forward).parameters.values())[1:]
        return tuple(each.name for each in parameters if each.default is each.empty or each.name in known)

    @property
    def digest(self) -> str:
        """sha256 over the names and bytes of the source files; what was tuned is a part of the Config."""
        total = hashlib.sha256()
        for path in (each for each in self.sources() if each.name != FILE):
            total.update(path.relative_to(self.folder).as_posix().encode() + b"\0" + path.read_bytes())
        return total.hexdigest()

    def sources(self) -> list[Path]:
        """Return the files that make the model what it is: Python and TOML, not the README."""
        return sorted(p for p in self.folder.rglob("*") if p.suffix in (".py", ".toml"))


def load_solution(folder: Path) -> Solution:
    """Import solutions/<name>/solution.py by path; InputError says what the folder lacks."""
    folder = Path(folder)
    if not (folder / "solution.py").is_file():
        near = sorted(path.parent.name for path in folder.parent.glob("*/solution.py"))
        raise InputError(
            f"{folder} is not a solution: it has no solution.py. "
            f"Solutions in {folder.parent}: {', '.join(near) or 'none'}"
        )
    with watched(folder.resolve()):
        module = _import(folder.resolve())
    found = {name: getattr(module, name, None) for name in ("Config", "Model", "Estimator")}
    if not dataclasses.is_dataclass(found["Config"]):
        raise InputError(f"{folder}/solution.py defines no dataclass Config; wanted Config and Model")
    if (found["Model"] is None) == (found["Estimator"] is None):
        raise InputError(f"{folder}/solution.py must define either Model or Estimator")
    return Solution(folder.resolve().name, folder.resolve(), **found)


def challenge_of(solution: Solution, name: str | None, data: Path) -> Challenge:
    """Open the challenge of this name, or the one that the solution is built for."""
    return find_challenge(name or Recipe.of(solution.Config()).challenge, data)


def _import(folder: Path) -> types.ModuleType:
    """Import the folder as a package of its own, so that its relative imports work wherever it lies."""
    name = re.sub(r"\W", "_", folder.name)  # a dot would be a package in a package
    package = f"_solution_{name}_{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    if package not in sys.modules:
        parent = types.ModuleType(package)
        parent.__path__ = [str(folder)]
        sys.modules[package] = parent
    try:
        return importlib.import_module(f"{package}.solution")
    except (SyntaxError, ImportError) as error:
        raise InputError(f"{folder / 'solution.py'} cannot be imported: {error}") from error


def shapes(config: Any, declaration: Declaration) -> Shapes:
    """Return the shape of each input of one row: a sequence is (channels, window), as tokens (window,).

    A sequence without a window is left out. Raises InputError where one window is set for several sequences.
    """
    recipe = Recipe.of(config)
    _require_names(recipe, config, declaration)
    channels = () if recipe.encoding == TOKENS else (planes(recipe.encoding).shape[1],)
    windows = windows_of(recipe, declaration)
    sequences = {name: (*channels, stop - start) for name, (start, stop) in windows.items()}
    return Shapes({**sequences, **declaration.inputs}, tuple(target.name for target in declaration.targets))


def _require_names(recipe: Recipe, config: Any, declaration: Declaration) -> None:
    """Refuse a window that was set for no sequence in particular, where there are several.

    The default of a Config is for challenges with one sequence, and is passed over.
    """
    default = {each.name: each.default for each in dataclasses.fields(config)}.get("window")
    if len(declaration.sequences) > 1 and isinstance(recipe.window, tuple) and recipe.window != default:
        names = " or ".join(each.name for each in declaration.sequences)
        raise InputError(
            f"window {recipe.window} does not say of which sequence; "
            f"wanted --set 'window={{NAME = [start, stop]}}' with {names}"
        )


def configure(
    solution: Solution,
    num_rows: int,
    *,
    settings: Sequence[str] = (),
    published: bool = False,
    tuned_for: str | None = None,
) -> tuple[Any, dict[str, object]]:
    """Return the Config for num_rows training rows and what differs from the published values.

    The published values are adapted to the number of rows by Config.adapt where it is defined (not when
    published is set), then what tuned.toml holds for the challenge tuned_for and last the settings
    ("name=value") are laid over them.
    """
    default = _call(solution, solution.Config)
    adapted = default
    if not published and hasattr(default, "adapt"):
        adapted = _call(solution, default.adapt, num_rows)
    tuned = {} if published or tuned_for is None else read_tuned(solution.folder, tuned_for)
    given = dict(map(parse_setting, settings))
    if "challenge" in given:
        raise InputError(f"--set challenge={given['challenge']}; wanted --challenge {given['challenge']}")
    overrides = {**tuned, **given}
    default, adapted = (with_fields(each, overrides) for each in (default, adapted))
    fields = {name: coerce(type(adapted), name, value) for name, value in overrides.items()}
    config = _call(solution, dataclasses.replace, adapted, **fields)
    Recipe.of(config)  # raises InputError where no model could be trained
    before, after = dataclasses.asdict(default), dataclasses.asdict(config)
    return config, {name: value for name, value in after.items() if value != before[name]}


def _call(solution: Solution, function: Callable[..., Any], *args: object, **fields: object) -> Any:
    try:
        return function(*args, **fields)
    except (TypeError, ValueError) as error:
        raise InputError(f"{solution.name}: {error}") from error
    except LookupError as error:  # of a window by name where a pair is indexed, for example
        given = ", ".join(f"{name}={value}" for name, value in fields.items())
        raise InputError(f"{solution.name}: its Config does not take {given}") from error


def parse_setting(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--set {text}: wanted name=value")
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), value.strip()


def coerce(config_class: type, name: str, value: object) -> object:
    """Bring a value from TOML or the command line to the type of a Config field, or raise InputError."""
    hints = typing.get_type_hints(config_class)
    if name not in hints:
        raise one_of("Config field", name, sorted({*hints, *typing.get_type_hints(Recipe)}))
    if name == "window":  # whatever a Config is written for, the windows of several sequences have names
        hints |= {"window": hints["window"] | dict[str, tuple[int, int]]}
    try:
        return _fit(value, hints[name])
    except TypeError:
        wanted = hints[name].__name__ if isinstance(hints[name], type) else hints[name]
        raise InputError(f"Config field {name} = {value!r}: wanted {wanted}") from None


def _fit(value: object, hint: Any) -> object:
    """Return value as what a type hint asks for; TypeError where it is something else."""
    origin, kinds = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _fit_one(value, kinds)
    if hint is types.NoneType and str(value).lower() == "none":
        return None
    if origin is typing.Literal and value in kinds:
        return value
    if origin is tuple and isinstance(value, str):
        value = _items(value)
    if origin is tuple and isinstance(value, (list, tuple)):
        kinds = kinds[:1] * len(value) if Ellipsis in kinds else kinds or (object,) * len(value)
        if len(kinds) != len(value):
            raise TypeError
        return tuple(map(_fit, value, kinds))
    if origin in (dict, Mapping) and isinstance(value, Mapping) and kinds:
        return {_fit(key, kinds[0]): _fit(each, kinds[1]) for key, each in value.items()}
    if hint is float and type(value) is int:
        return float(value)
    if isinstance(value, bool) and hint not in (bool, object):
        raise TypeError
    if not isinstance(value, origin):  # raises TypeError itself where a hint is no class
        raise TypeError
    return value


def _items(text: str) -> list[object]:
    """Read what is typed without brackets: 0,230 is [0,230]."""
    try:
        return list(tomllib.loads(f"value = [{text}]")["value"])
    except tomllib.TOMLDecodeError:
        return [part.strip() for part in text.split(",")]


def _fit_one(value: object, kinds: Sequence[Any]) -> object:
    """Return value as the first of some types that it fits; None is tried before text."""
    for kind in sorted(kinds, key=lambda kind: kind is not types.NoneType):
        with contextlib.suppress(TypeError):
            return _fit(value, kind)
    raise TypeError


def describe(changes: Mapping[str, object]) -> str:
    """Format the settings that differ from the published ones as one line."""
    return ", ".join(f"{name}={value}" for name, value in changes.items()) or "as published"
