"""Options for the sequences of a row: their columns, origins, flanks and windows."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from competition.base.errors import InputError, one_of
from competition.data.declaration import Declaration, InputSequence
from competition.data.tokens import TRANSLATE, check_letters
from competition.data.writer import ChallengeWriter

A_WINDOW = re.compile(r"\s*([+-]?\d+)\s*:\s*([+-]?\d+)\s*")


def add_construct(add: Callable[..., Any]) -> None:
    """Declare the options that say where windows count from and what surrounds a sequence."""
    options = {
        "origin": ("N", "base that windows count from (default: 0)"),
        "left-flank": ("BASES", "bases of the construct before every sequence"),
        "right-flank": ("BASES", "bases of the construct after every sequence"),
        "window": ("START:STOP", "what solutions read whose Config does not say (default: all bases)"),
    }
    for name, (value, text) in options.items():
        add(f"--{name}", action="append", default=[], metavar=f"{value}|NAME={value}", help=text)


def name_sequences(text: str) -> dict[str, str]:
    """Return the column of each sequence; a single column without a name is that of "sequence"."""
    pairs = [each.rpartition("=") for each in text.split(",")]
    if len(pairs) == 1 and not pairs[0][0]:
        return {"sequence": text}
    columns = {(name or column).strip(): column.strip() for name, _, column in pairs}
    if len(columns) < len(pairs):
        raise InputError(f"--sequence {text}: wanted each name once")
    return columns


def read_construct(names: Sequence[str], options: Any) -> tuple[InputSequence, ...]:
    """Return the declarations of the sequences of these names."""
    origin, left, right, window = (
        _by_name(getattr(options, option), names, f"--{option.replace('_', '-')}")
        for option in ("origin", "left_flank", "right_flank", "window")
    )
    return tuple(
        InputSequence(
            name,
            _whole(origin.get(name, "0")),
            _bases(left.get(name, ""), "--left-flank"),
            _bases(right.get(name, ""), "--right-flank"),
            _window(window[name]) if name in window else None,
        )
        for name in names
    )


def declare_windows(writer: ChallengeWriter) -> Declaration:
    """Declare the longest of several sequences as the window of each that has none."""
    declared = writer.declaration
    if len(declared.sequences) == 1:
        return declared
    return replace(declared, sequences=tuple(_whole_window(writer, each) for each in declared.sequences))


def check_origins(writer: ChallengeWriter) -> None:
    """Raise InputError for an origin beyond every sequence: no window counted from there has a base."""
    for declared in writer.declaration.sequences:
        longest = max(part.sequences[declared.name].width for part in writer.parts)
        if not -longest <= declared.origin <= longest:
            raise InputError(
                f"--origin {declared.name}={declared.origin}: the longest {declared.name} has {longest:,} "
                f"bases; wanted an origin from 0 to {longest}"
            )


def _whole_window(writer: ChallengeWriter, declared: InputSequence) -> InputSequence:
    longest = max(part.sequences[declared.name].width for part in writer.parts)
    return replace(declared, window=declared.window or (-declared.origin, longest - declared.origin))


def _by_name(texts: Sequence[str], names: Sequence[str], option: str) -> dict[str, str]:
    """Read NAME=VALUE,... of several sequences, or the plain value of one."""
    found: dict[str, str] = {}
    for text in (part for each in texts for part in each.split(",")):
        name, equals, value = text.partition("=")
        if not equals and len(names) > 1:
            raise InputError(f"{option} {text}: wanted NAME=VALUE, with a name of {', '.join(names)}")
        name, value = (name.strip(), value) if equals else (names[0], text)
        if name not in names:
            raise one_of(f"sequence for {option}", name, list(names))
        if name in found:
            raise InputError(f"{option} {text}: {name} has a value already; wanted one")
        found[name] = value.strip()
    return found


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"--origin {text}: wanted a whole number") from None


def _bases(text: str, option: str) -> str:
    """Return a flank; InputError where it is not DNA."""
    tokens = np.frombuffer(text.encode("latin-1", "replace").translate(TRANSLATE), dtype=np.uint8)
    if len(tokens):
        check_letters(tokens, lambda at: f"{option} {text} has {text[at]!r} at position {at}")
    return text


def _window(text: str) -> tuple[int, int]:
    found = A_WINDOW.fullmatch(text)
    if not found:
        raise InputError(f"--window {text}: wanted START:STOP, such as 0:80")
    return int(found[1]), int(found[2])
