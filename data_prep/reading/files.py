"""Open raw files, gzipped or not."""

import gzip
import zlib
from pathlib import Path
from typing import BinaryIO

from competition.base.errors import InputError

BLOCK_BYTES = 1 << 20  # larger blocks leave the cache and are slower


def open_bytes(path: Path) -> BinaryIO:
    """Open a file that may be gzipped; it may also lie beside its name with .gz added."""
    if not path.exists() and path.with_name(path.name + ".gz").exists():
        path = path.with_name(path.name + ".gz")
    try:
        with path.open("rb") as file:
            gzipped = file.read(2) == b"\x1f\x8b"
        return gzip.open(path, "rb") if gzipped else path.open("rb")  # type: ignore[return-value]
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def _read(file: BinaryIO, path: Path) -> bytes:
    try:
        return file.read(BLOCK_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is damaged or cut off: {error}; download it again") from None
