"""The one error a user can cause, and how a program tells of it."""

import sys
from collections.abc import Callable
from typing import Any


class InputError(ValueError):
    """A user's mistake. The message names the thing, what was got and what is wanted."""


def exit_status(program: Callable[..., int | None], *arguments: Any) -> int:
    """Run a program and return its status: 2 after a user's mistake, which is one line on standard error."""
    try:
        return program(*arguments) or 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def one_of(name: str, got: str, wanted: list[str]) -> InputError:
    """Word the error for an unknown name, with the nearest known one as a suggestion."""
    from difflib import get_close_matches

    near = get_close_matches(got, wanted, n=1)
    hint = f"did you mean {near[0]!r}? Known" if near else "known"
    return InputError(f"unknown {name} {got!r}; {hint}: {', '.join(sorted(wanted)) or 'none'}")
