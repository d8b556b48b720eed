"""The files that a command line names, standard input among them."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from competition.base.errors import InputError
from data_prep.reading.files import exists
from data_prep.reading.rows import File

STANDARD_INPUT = Path("-")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for what is needed on the way; InputError where it cannot be written."""
    try:
        with tempfile.TemporaryDirectory(prefix="table-") as folder:
            yield Path(folder)
    except OSError as error:
        raise InputError(
            f"temporary files could not be written: {error}; wanted room in TMPDIR, or another TMPDIR"
        ) from None


@contextmanager
def find_files(options: argparse.Namespace, scratch: Path) -> Iterator[list[File]]:
    """Yield the files of rows; standard input is copied to the scratch folder, to be read more than once.

    Of options.test what is no file, COLUMN=VALUE,..., remains: a text, empty where there is none.
    """
    tests = [text for text in options.test if exists(Path(text))]
    options.test = _values([text for text in options.test if text not in tests])
    files = [File(path) for path in options.file]
    files += [File(path, "train") for path in options.train]
    files += [File(Path(text), "private") for text in tests]
    _require_table(files)
    if sum(file.path == STANDARD_INPUT for file in files) > 1:
        raise InputError("- stands for standard input, which can be read once; wanted a single -")
    copy = scratch / "standard input"
    try:
        yield [_copied(file, copy) for file in files]
    except InputError as error:
        raise InputError(str(error).replace(str(copy), copy.name)) from None


def _require_table(named: Sequence[object]) -> None:
    if not named:
        raise InputError("no table is named; wanted a FILE, or - for standard input")


def _values(texts: list[str]) -> str:
    for text in texts:
        if "=" not in text:
            raise InputError(f"--test {text}: there is no such file; wanted a file, or COLUMN=VALUE,...")
    if len(texts) > 1:
        raise InputError(f"--test {texts[1]}: wanted one COLUMN=VALUE,...")
    return texts[0] if texts else ""


def _copied(file: File, copy: Path) -> File:
    """Return the file, or the copy of standard input that it stands for."""
    if file.path != STANDARD_INPUT:
        return file
    with copy.open("wb") as target:
        shutil.copyfileobj(sys.stdin.buffer, target)
    return file._replace(path=copy)


def default_name(options: argparse.Namespace) -> str:
    """Return the name of the challenge: as it is given, or that of the first file."""
    if options.name:
        return str(options.name)
    named = [*options.file, *options.train, *map(Path, options.test)]
    _require_table(named)
    first: Path = named[0]
    if first == STANDARD_INPUT:
        raise InputError("rows from standard input have no name; wanted --name NAME")
    return first.name.split(".")[0]
