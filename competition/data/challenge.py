"""A challenge, a folder declared by its challenge.toml: what is predicted from what, and how it is scored."""

import hashlib
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from competition import toml
from competition.data.store import Store, StoreWriter, file_digest
from competition.errors import InputError, one_of

METRICS = ("pearson", "spearman", "mse", "r2", "R2", "mae", "auroc")
KINDS = ("rows", "pairs")
# What an input may not be called, as the rows have it already.
TAKEN = ("sequence", "length", "sequence_index", "target", "rows")


@dataclass(frozen=True)
class Target:
    """One predicted value and its unit."""

    name: str
    unit: str = ""


@dataclass(frozen=True)
class Score:
    """One figure of merit: a metric on a subset, or its weighted mean over several."""

    name: str
    metric: str
    direction: str  # "maximize" or "minimize"
    low: float  # the range of the figure; infinite where it is open
    high: float
    unit: str = ""
    subset: str = "all"
    weights: Mapping[str, float] = field(
        default_factory=dict
    )  # subset -> weight; a composite where not empty


@dataclass(frozen=True)
class Challenge:
    """The declaration in challenge.toml: pure data, without any path."""

    name: str
    targets: tuple[Target, ...]
    scores: tuple[Score, ...]  # the first is the primary one
    title: str = ""
    source: str = ""
    licence: str = ""
    origin: int = 0  # index of the base that windows count from
    left_flank: str = ""  # the construct around a stored sequence, nearest base last
    right_flank: str = ""
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # per-row shapes besides "sequence"
    subsets: Mapping[str, str] = field(default_factory=dict)  # name -> "rows" or "pairs"
    ensembles: bool = True
    tie_break: str = ""  # name of the score that orders submissions within a tier
    # Two are a tie where their Bayes factor is under this; without it, where the 95 % interval of their
    # difference holds 0.
    tie_bayes_factor: float | None = None
    near_duplicates: bool = True  # rows of near-duplicate sequences share a fold
    ceiling: Mapping[str, float] = field(default_factory=dict)  # score name -> best value the noise allows
    files: Mapping[str, str] = field(default_factory=dict)  # path in public/ -> sha256

    def __post_init__(self) -> None:
        _check(self)

    @property
    def primary(self) -> Score:
        return self.scores[0]

    @property
    def train_digest(self) -> str:
        """sha256 over the digests of the training rows' files, whatever else is declared."""
        listed = [f"{digest} {path}" for path, digest in self.files.items() if path.startswith("train/")]
        return hashlib.sha256("\n".join(sorted(listed)).encode()).hexdigest()


@dataclass(frozen=True)
class Shapes:
    """What a model is told of its challenge: the shape of each input of one row, and the target names."""

    inputs: Mapping[str, tuple[int, ...]]
    targets: tuple[str, ...]


class OpenChallenge(NamedTuple):
    """A challenge folder, its declaration and its memory-mapped rows."""

    challenge: Challenge
    train: Store
    test: Store | None
    folder: Path
    digest: str  # sha256 of challenge.toml, which holds the digest of every public file


def _check(challenge: Challenge) -> None:
    where = f"challenge {challenge.name!r}"
    if not challenge.targets or not challenge.scores:
        raise InputError(
            f"{where} has no {'scores' if challenge.targets else 'targets'}; wanted at least one"
        )
    for kind, names in {
        "target": [target.name for target in challenge.targets],
        "score": [score.name for score in challenge.scores],
    }.items():
        if len(set(names)) < len(names):
            raise InputError(f"{where}: {kind}s are called {', '.join(names)}; wanted each name once")
    for name in challenge.inputs:
        if name in TAKEN or not name.isidentifier():
            raise InputError(f"{where}: an input cannot be called {name!r}; wanted another name")
    known = {"all", *challenge.subsets}
    for name, kind in challenge.subsets.items():
        if kind not in KINDS:
            raise InputError(f"{where}: subset {name!r} is of kind {kind!r}; wanted rows or pairs")
    for score in challenge.scores:
        if score.metric not in METRICS:
            raise one_of("metric", score.metric, list(METRICS))
        if score.direction not in ("maximize", "minimize"):
            raise InputError(
                f"{where}: score {score.name!r} has direction {score.direction!r}; "
                "wanted maximize or minimize"
            )
        for subset in score.weights or [score.subset]:
            if subset not in known:
                raise one_of("subset", subset, sorted(known))
    names = [score.name for score in challenge.scores]
    if challenge.tie_break and challenge.tie_break not in names:
        raise one_of("score for tie_break", challenge.tie_break, names)
    factor = challenge.tie_bayes_factor
    if factor is not None and not (type(factor) in (int, float) and 1 <= factor < math.inf):
        raise InputError(
            f"{where}: tie_bayes_factor is {factor!r}; wanted a number from 1, such as DREAM's 3"
        )


def to_toml(challenge: Challenge) -> str:
    """Spell a challenge as the text of challenge.toml."""
    document = {
        "name": challenge.name,
        "title": challenge.title,
        "source": challenge.source,
        "licence": challenge.licence,
        "origin": challenge.origin,
        "left_flank": challenge.left_flank,
        "right_flank": challenge.right_flank,
        "near_duplicates": challenge.near_duplicates,
        "targets": [vars(target) for target in challenge.targets],
        "inputs": {name: list(shape) for name, shape in challenge.inputs.items()},
        "scores": [{k: v for k, v in vars(score).items() if v != {}} for score in challenge.scores],
        "subsets": dict(challenge.subsets),
        "rules": {
            "ensembles": challenge.ensembles,
            "tie_break": challenge.tie_break or None,
            "tie_bayes_factor": challenge.tie_bayes_factor,
        },
        "ceiling": dict(challenge.ceiling),
        "files": dict(challenge.files),
    }
    return toml.dumps({key: value for key, value in document.items() if value not in ("", {})})


def from_toml(path: Path) -> Challenge:
    """Read challenge.toml; InputError names an unknown or missing key."""
    document: dict[str, Any] = toml.load(path)
    try:
        document |= document.pop("rules", {})
        for name, kind in (("targets", Target), ("scores", Score)):
            document[name] = tuple(_make(kind, table, path) for table in document.get(name, []))
        document["inputs"] = {k: tuple(shape) for k, shape in document.get("inputs", {}).items()}
        return _make(Challenge, document, path)
    except (TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a declaration of a challenge: {error}") from None


def _make(kind: Any, table: Mapping[str, Any], path: Path) -> Any:
    """Make a dataclass from a table of the file."""
    for key in table:
        if key not in (names := [each.name for each in fields(kind)]):
            raise one_of(f"key in {path}", key, names)
    for each in fields(kind):
        if each.name not in table and each.default is MISSING and each.default_factory is MISSING:
            raise InputError(f"{path}: a {kind.__name__.lower()} has no {each.name!r}; wanted it")
    return kind(**table)


def open_challenge(folder: Path, *, verify: bool = True) -> OpenChallenge:
    """Open a challenge folder; verify checks every public file against its checksum."""
    public = folder / "public"
    declaration = public / "challenge.toml"
    if not declaration.exists():
        raise InputError(f"{folder} is not a challenge: it has no public/challenge.toml")
    challenge = from_toml(declaration)
    if not challenge.files:
        raise InputError(f"{declaration} lists no files; build the challenge again")
    for name, wanted in challenge.files.items():
        path = public / name
        if not path.exists():
            raise InputError(f"{path} is missing; build the challenge again")
        if verify and (got := file_digest(path)) != wanted:
            raise InputError(
                f"{path} has changed since the challenge was built: sha256 {got[:12]}..., "
                f"wanted {wanted[:12]}...; build the challenge again"
            )
    test = public / "test"
    return OpenChallenge(
        challenge,
        Store(public / "train", list(challenge.inputs)),
        Store(test, list(challenge.inputs)) if test.exists() else None,
        folder,
        file_digest(declaration),
    )


class ChallengeWriter:
    """The folder of a challenge while it is being built."""

    def __init__(self, folder: Path, challenge: Challenge) -> None:
        self.folder, self.challenge = folder, challenge
        self.train = self._part("train")
        self._test: StoreWriter | None = None
        (folder / "private").mkdir()

    @property
    def test(self) -> StoreWriter:
        """The test part, made on first use: a challenge may have none."""
        self._test = self._test or self._part("test")
        return self._test

    def _part(self, name: str) -> StoreWriter:
        folder = self.folder / "public" / name
        return StoreWriter(folder, inputs=self.challenge.inputs, num_targets=len(self.challenge.targets))

    def write_answers(self, frame: pd.DataFrame) -> None:
        """Write the test answers: id, one column per target (NaN: unknown), usage (public or private).

        A further column "group" names dependent rows, such as those of one gene: resamples draw them whole.
        """
        wanted = ["id", *(target.name for target in self.challenge.targets), "usage"]
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
        public, private = self.folder / "public", self.folder / "private"
        if self._test is not None:
            self._test.close()
            if self._test.target is not None:
                raise InputError("test: the rows bring targets, for all to see; wanted write_answers")
            _write_sample_submission(Store(public / "test", []), self.challenge, public)
        challenge = replace(self.challenge, files=_digests(public))
        toml.write_text(public / "challenge.toml", to_toml(challenge))
        toml.write_text(private / "checksums.toml", toml.dumps({"files": _digests(private)}))


def _write_sample_submission(test: Store, challenge: Challenge, public: Path) -> None:
    frame = pd.DataFrame({"id": test.rows["id"], **{target.name: 0.0 for target in challenge.targets}})
    frame.to_csv(public / "sample_submission.csv", index=False, lineterminator="\n")


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}


@contextmanager
def create_challenge(
    folder: Path, challenge: Challenge, *, overwrite: bool = False
) -> Iterator[ChallengeWriter]:
    """Build a challenge folder so that it is complete or absent.

    All is written to a hidden sibling folder, checked, and renamed at the end; an exception removes it.
    Raises InputError where the folder exists and overwrite is not set.
    """
    if folder.exists() and not overwrite:
        raise InputError(f"{folder} exists already; wanted a new folder, or --overwrite to replace it")
    if folder.exists() and not (folder / "public" / "challenge.toml").exists():
        raise InputError(f"{folder} is not a challenge, so it is not replaced; wanted a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.partial-", dir=folder.parent))
    try:
        writer = ChallengeWriter(partial, challenge)
        yield writer
        writer.close()
        open_challenge(partial, verify=False)  # the digests were taken a moment ago
        _swap(partial, folder)
    except OSError as error:
        raise InputError(f"{folder} could not be written: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _swap(new: Path, folder: Path) -> None:
    os.chmod(new, 0o755)  # noqa: PTH101 - mkdtemp makes it private to the user
    if folder.exists():
        old = new.with_name(new.name + "-old")
        folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old)
    else:
        new.rename(folder)
