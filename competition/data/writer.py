"""Build a challenge folder so that it is complete or absent."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd

from competition.base import toml
from competition.base.errors import InputError
from competition.base.files import file_digest, locked, try_lock, write_text
from competition.base.names import require_name
from competition.data.challenge import open_challenge
from competition.data.challenge_toml import to_toml
from competition.data.declaration import Declaration
from competition.data.store import Store
from competition.data.store_writer import StoreWriter

OLD = "-old"  # ends the name of a challenge that is being replaced


class ChallengeWriter:
    """The folder of a challenge while it is being built."""

    def __init__(self, folder: Path, declaration: Declaration) -> None:
        self.folder, self.declaration = folder, declaration
        self.train = self._part("train")
        self._test: StoreWriter | None = None
        (folder / "private").mkdir()

    @property
    def test(self) -> StoreWriter:
        """The test part, made on first use: a challenge may have none."""
        self._test = self._test or self._part("test")
        return self._test

    @property
    def parts(self) -> list[StoreWriter]:
        """The parts that there are rows of."""
        return [self.train, *([self._test] if self._test else [])]

    def _part(self, name: str) -> StoreWriter:
        declared = self.declaration
        return StoreWriter(
            self.folder / "public" / name, inputs=declared.inputs, num_targets=len(declared.targets),
            sequences=declared.sequences,
        )  # fmt: skip

    def write_answers(self, frame: pd.DataFrame) -> None:
        """Write the test answers: id, one column per target (NaN: unknown), usage (public or private).

        A further column "group" names dependent rows, such as those of one gene: resamples draw them whole.
        """
        wanted = ["id", *(target.name for target in self.declaration.targets), "usage"]
        assert [name for name in frame.columns if name != "group"] == wanted, (list(frame.columns), wanted)
        self.write_table("answers", frame)

    def write_subsets(self, frame: pd.DataFrame) -> None:
        """Write which rows are in which subset: subset, id, reference (of a pair; empty for kind rows)."""
        assert list(frame.columns) == ["subset", "id", "reference"], list(frame.columns)
        self.write_table("subsets", frame)

    def write_table(self, name: str, frame: pd.DataFrame) -> None:
        """Write a table that only the scorer and later checks may read."""
        path = self.folder / "private" / f"{name}.csv"
        frame.to_csv(path, index=False, lineterminator="\n")

    def close(self) -> None:
        self.train.close()
        if self.train.target is None:
            raise InputError("train: no targets; wanted one for every row")
        assert (self.train.weight is not None) == self.declaration.row_weights, "weights are to be declared"
        public, private = self.folder / "public", self.folder / "private"
        if self._test is not None:
            self._test.close()
            if self._test.target is not None:
                raise InputError("test: the rows bring targets, for all to see; wanted write_answers")
            assert self._test.weight is None, "weights are of training rows"
            _write_sample_submission(
                Store(public / "test", [], self.declaration.sequences), self.declaration, public
            )
        challenge = replace(self.declaration, files=_digests(public))
        write_text(public / "challenge.toml", to_toml(challenge))
        write_text(private / "checksums.toml", toml.dumps({"files": _digests(private)}))


def _write_sample_submission(test: Store, declaration: Declaration, public: Path) -> None:
    frame = pd.DataFrame({"id": test.rows["id"], **{target.name: 0.0 for target in declaration.targets}})
    frame.to_csv(public / "sample_submission.csv", index=False, lineterminator="\n")


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}


@contextmanager
def create_challenge(
    folder: Path, declaration: Declaration, *, overwrite: bool = False
) -> Iterator[ChallengeWriter]:
    """Build a challenge folder so that it is complete or absent.

    All is written to a hidden sibling folder, checked, and renamed at the end; an exception removes it.
    Raises InputError where the folder exists and overwrite is not set.
    """
    require_name(declaration.name, "challenge name", spaced=True)
    with _readable_errors(folder):
        partial, held = _make_partial(folder, overwrite)
        try:
            writer = ChallengeWriter(partial, declaration)
            yield writer
            writer.close()
            open_challenge(partial, verify=False)  # the digests were taken a moment ago
            with locked(folder.parent):
                _swap(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            os.close(held)


@contextmanager
def _readable_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{folder} could not be written: {error}") from error


def _make_partial(folder: Path, overwrite: bool) -> tuple[Path, int]:
    """Make the hidden folder that becomes the challenge; it is locked until the descriptor is closed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.parent):  # or another preparer could clear the folder before it is locked
        _clear_killed(folder)
        _require_replaceable(folder, overwrite)
        partial = Path(tempfile.mkdtemp(prefix=_prefix(folder), dir=folder.parent))
        held = try_lock(partial)
    assert held is not None, partial
    return partial, held


def _require_replaceable(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not overwrite:
        raise InputError(f"{folder} exists already; wanted a new folder, or --overwrite to replace it")
    if folder.exists() and not (folder / "public" / "challenge.toml").exists():
        raise InputError(f"{folder} is not a challenge, so it is not replaced; wanted a new folder")


def _prefix(folder: Path) -> str:
    return f".{folder.name}.partial-"


def _clear_killed(folder: Path) -> None:
    """Remove what preparers of a folder that were killed have left; what a living one writes is locked.

    One that was killed between its two renames has left the challenge that it replaced, which is put back.
    """
    for path in [each for each in folder.parent.iterdir() if each.name.startswith(_prefix(folder))]:
        if (held := try_lock(path)) is None:
            continue
        os.close(held)
        if path.name.endswith(OLD) and not folder.exists():
            path.rename(folder)
            print(f"put back {folder}, which a killed preparer was replacing")
            continue
        size = sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
        shutil.rmtree(path)
        print(f"removed {path}, {size / 1e6:.1f} MB that a killed preparer left", flush=True)


def _swap(new: Path, folder: Path) -> None:
    os.chmod(new, 0o755)  # noqa: PTH101 - mkdtemp makes it private to the user
    if folder.exists():
        old = new.with_name(new.name + OLD)
        folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old)
    else:
        new.rename(folder)
