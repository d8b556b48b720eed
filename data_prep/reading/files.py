"""Open raw files, gzipped or not."""

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from gzip import GzipFile
from io import BufferedReader
from pathlib import Path

from competition.base.errors import InputError

RawFile = GzipFile | BufferedReader  # of bytes


@contextmanager
def open_bytes(path: Path) -> Iterator[RawFile]:
    """Open a file that may be gzipped; it may also lie beside its name with .gz added.

    InputError where it cannot be opened, and where it turns out inside to be damaged or cut off.
    """
    file = _open(path)
    try:
        with file:
            yield file
    except (EOFError, zlib.error, OSError) as error:
        raise InputError(f"{path} is damaged or cut off: {error}; download it again") from None


def _open(path: Path) -> RawFile:
    if not path.name:
        raise InputError(f"{str(path)!r} is not a file")
    packed = path.with_name(path.name + ".gz")
    path = packed if packed.exists() and not path.exists() else path
    try:
        with path.open("rb") as file:
            gzipped = file.read(2) == b"\x1f\x8b"
        return GzipFile(path, "rb") if gzipped else path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def exists(path: Path) -> bool:
    """Say whether there is such a file, plain or with .gz added to its name."""
    return path.exists() or (path.name != "" and path.with_name(path.name + ".gz").exists())


def read_json(path: Path) -> object:
    """Return what a JSON file holds."""
    with open_bytes(path) as file:
        try:
            return json.load(file)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path} cannot be read as JSON: {error}; download it again") from None
