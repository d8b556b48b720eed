"""The answers of a challenge: the only code that reads its private folder."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from competition.base import toml
from competition.base.errors import InputError, one_of
from competition.base.files import file_digest, locked, write_text
from competition.base.typed import fits
from competition.data.challenge import Challenge, target_names
from competition.data.challenge_toml import from_toml
from competition.data.declaration import Declaration
from competition.judging.formats import read_table

TABLES = ("answers.csv", "subsets.csv")  # all that a score is taken on


@dataclass(frozen=True)
class Subset:
    """The rows or pairs of a subset, as positions in Answers.ids, each once."""

    rows: np.ndarray  # (M,)
    references: np.ndarray | None  # (M,) of pairs
    public: np.ndarray  # (M,) bool; everything else is private

    def differences(self, values: np.ndarray) -> np.ndarray:
        """Return the value (M, T) of each row, or of each pair's row minus its reference."""
        own: np.ndarray = values[self.rows]
        return own if self.references is None else own - values[self.references]


@dataclass(frozen=True)
class Answers:
    """What the private folder holds."""

    declaration: Declaration
    ids: pd.Index  # (N,)
    truth: np.ndarray  # (N, T) float64, NaN where unknown
    test_ids: pd.Index  # of every test row, in answers.csv or not
    subsets: Mapping[str, Subset]  # "all" is always there
    group: np.ndarray | None = None  # (N,) names of dependent rows, where answers.csv has them
    digest: str = ""  # of answers and subsets: scores on the same ones are comparable


def count_private_evaluation(folder: Path, digest: str) -> int:
    """Count a private-set evaluation of the predictions of this sha256; return how many there were, with it.

    The same predictions again are not counted twice.
    """
    path = folder / "private" / "evaluations.log"
    with locked(path.parent):
        seen = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        if digest not in seen:
            seen.append(digest)
            write_text(path, "\n".join(seen) + "\n")
    return seen.index(digest) + 1


def has_answers(challenge: Challenge) -> bool:
    """Say whether the answers are here: a participant may not have them."""
    return (challenge.folder / "private" / "answers.csv").exists()


def read_answers(challenge: Path | Challenge) -> Answers:
    """Read private/ after checking it against its checksums; InputError says what is missing or wrong."""
    folder = challenge if isinstance(challenge, Path) else challenge.folder
    declaration = from_toml(folder / "public" / "challenge.toml")
    private = folder / "private"
    _require_answers(folder, declaration.name)
    digest = _verify(private)
    table = read_table(private / "answers.csv")
    _check_ids(table["id"], private / "answers.csv")
    _check_usages(table["usage"], private / "answers.csv", ["public", "private"])
    ids = pd.Index(table["id"])
    public = (table["usage"] == "public").to_numpy()
    subsets = {"all": Subset(np.arange(len(ids)), None, public)}
    if (private / "subsets.csv").exists():
        subsets |= _read_subsets(private / "subsets.csv", declaration, ids, public)
    for name in declaration.subsets:
        subsets.setdefault(name, Subset(np.empty(0, np.int64), None, np.empty(0, bool)))
    truth = table[target_names(declaration)].replace("", "nan").to_numpy(np.float64)
    sample = read_table(folder / "public" / "sample_submission.csv")
    group = table["group"].to_numpy(dtype=str) if "group" in table.columns else None
    return Answers(declaration, ids, truth, pd.Index(sample["id"]), subsets, group, digest)


def _require_answers(folder: Path, name: str) -> None:
    """Raise InputError where there is nothing to score by: no test set, or answers that are elsewhere."""
    if not (folder / "public" / "test").exists():
        raise InputError(f"challenge {name!r} has no test set: nothing to score")
    if not (folder / "private" / "answers.csv").exists():
        raise InputError(
            f"the answers of challenge {name!r} are not in {folder / 'private'}: only the organiser scores; "
            f"`python -m competition.submission check FILE --challenge {name}` checks a file"
        )


def _verify(private: Path) -> str:
    """Check answers and subsets against their checksums; return the sha256 of both."""
    listed = toml.load(private / "checksums.toml").get("files")
    if not fits(listed, dict[str, str]):
        raise InputError(f"{private / 'checksums.toml'} lists no checksums; build the challenge again")
    for name in TABLES:
        path = private / name
        if path.exists() != (name in listed):
            raise InputError(f"{path} does not agree with private/checksums.toml; build the challenge again")
        if name in listed and file_digest(path) != listed[name]:
            raise InputError(f"{path} has changed since the challenge was built; build the challenge again")
    return hashlib.sha256("\n".join(listed.get(name, "") for name in TABLES).encode()).hexdigest()


def _check_ids(ids: pd.Series, path: Path) -> None:
    repeated = ids[ids.duplicated()]
    if len(repeated):
        raise InputError(f"{path}: id {repeated.iloc[0]!r} comes twice; wanted each id once")


def _check_usages(usages: pd.Series, path: Path, wanted: list[str]) -> None:
    for usage in usages.unique():
        if usage not in wanted:
            raise InputError(f"{path}: usage {usage!r}; wanted one of {wanted}")


def _read_subsets(
    path: Path, declaration: Declaration, ids: pd.Index, public: np.ndarray
) -> dict[str, Subset]:
    table = read_table(path)
    if "usage" in table.columns:
        _check_usages(table["usage"], path, ["public", "private", ""])
    table = table.drop_duplicates(["subset", "id", "reference"])
    subsets = {}
    for name, members in table.groupby("subset", sort=False):
        if name not in declaration.subsets:
            raise one_of(f"subset in {path}", str(name), sorted(declaration.subsets))
        subsets[str(name)] = _subset(str(name), members, declaration.subsets[name], ids, public)
    return subsets


def _subset(name: str, members: pd.DataFrame, kind: str, ids: pd.Index, public: np.ndarray) -> Subset:
    """Number the members of a subset; a pair is public where both its rows are, unless a usage is given."""
    if ((members["reference"] != "") != (kind == "pairs")).any():
        raise InputError(f"subset {name!r} is of kind {kind}: wanted a reference for pairs, none for rows")
    rows = _positions(name, members["id"], ids)
    is_public = public[rows]
    references = None
    if kind == "pairs":
        references = _positions(name, members["reference"], ids)
        is_public = is_public & public[references]
    if "usage" in members.columns:
        given = members["usage"].to_numpy()
        is_public = np.where(given == "", is_public, given == "public")
    return Subset(rows, references, is_public)


def _positions(name: str, wanted: pd.Series, ids: pd.Index) -> np.ndarray:
    positions: np.ndarray = ids.get_indexer(wanted)
    if (positions < 0).any():
        example = wanted.iloc[int((positions < 0).argmax())]
        raise InputError(f"subset {name!r} names id {example!r}, which private/answers.csv does not have")
    return positions
