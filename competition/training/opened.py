"""Which files the code of a solution opens, at import and later, as Python's audit events tell."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple


class Access(NamedTuple):
    """A file that was opened, and the line of the solution that led to it."""

    path: str
    where: str


_watched: set[str] = set()  # folders of solutions
_seen: dict[str, set[Access]] = {}
_hooks: list[object] = []  # an audit hook stays as long as the process: there is one for all


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Note every file that code in a folder opens, itself or through a library; the harness's own are not."""
    if not _hooks:
        sys.addaudithook(_note)
        _hooks.append(_note)
    _watched.add(str(folder))
    try:
        yield
    finally:
        _watched.discard(str(folder))


def opened_by(folder: Path) -> list[Access]:
    """Return what code in a folder has opened while it was watched, in this process."""
    return sorted(_seen.get(str(folder), ()))


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event != "open" or not _watched or not isinstance(arguments[0], (str, bytes, os.PathLike)):
        return
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        for folder in _watched:
            if name.startswith(folder + os.sep):
                where = f"{name[len(folder) + 1 :]}, line {frame.f_lineno}"
                path = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100 - a Path is slow to make
                _seen.setdefault(folder, set()).add(Access(path, where))
                return
        frame = frame.f_back
