"""Write files atomically, hash them, and lock a folder."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from competition.base.errors import InputError


def file_digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder: a second process that does so waits. Leaves no file behind."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def try_lock(folder: Path) -> int | None:
    """Lock a folder until the descriptor returned is closed; None where another process holds it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically: a reader sees the old one or the new one, never a part."""
    try:
        write_bytes(path, text.encode())
    except UnicodeEncodeError as error:
        raise InputError(f"{path}: {error.object[error.start]!r} cannot be written as UTF-8") from None


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically; InputError where that cannot be. A device or a pipe is written to directly.

    Writers of one file take turns at one partial file, so that killed ones leave no more than that, which
    the next one writes anew.
    """
    try:
        path = path.resolve() if path.is_symlink() else path
        if path.exists() and not path.is_file():
            with path.open("wb") as stream:
                stream.write(data)
            return
        with _partial(path) as (partial, file):
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            partial.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from None


@contextmanager
def _partial(path: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Open the partial file beside a file, empty and locked; an exception removes it."""
    partial = path.with_name(f".{path.name}.partial")
    while True:
        with partial.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_at(partial, file):
                continue  # who held the lock has renamed it
            file.truncate(0)
            try:
                yield partial, file
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
            return


def _is_at(path: Path, file: IO[bytes]) -> bool:
    """Say whether an open file is still the one that a path leads to."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def require_writable(folder: Path, what: str) -> None:
    """Raise InputError where files cannot be written into a folder, which need not exist yet.

    Nothing stays: the file that is tried has no name.
    """
    there = next((each for each in (folder, *folder.absolute().parents) if os.path.lexists(each)), folder)
    try:
        with tempfile.TemporaryFile(dir=there, buffering=0) as file:
            file.write(bytes(4096))
    except OSError as error:
        raise InputError(f"{what} {folder} cannot be written: {there}: {error.strerror or error}") from None
