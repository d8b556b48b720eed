"""Score predictions of the test rows: the only code that reads a challenge's private folder.

What is scored is declared in challenge.toml; here is only how: rows are matched by id, a pair is scored by
its difference (row minus reference), and a composite is the weighted mean of its metric over its subsets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from competition import toml
from competition.data.challenge import Challenge, OpenChallenge, Score, from_toml
from competition.data.store import file_digest
from competition.errors import InputError, one_of
from competition.judging.manifest import Manifest, read_manifest, update_manifest
from competition.judging.metrics import METRICS, UndefinedMetric
from competition.submission import align, find_problems, read_checked, read_table, target_names

USAGES = ("public", "private", "all")


@dataclass(frozen=True)
class Subset:
    """The rows or pairs of a subset, as positions in Answers.ids, each once."""

    rows: np.ndarray  # (M,)
    references: np.ndarray | None  # (M,) of pairs
    public: np.ndarray  # (M,) bool; everything else is private

    def differences(self, values: np.ndarray) -> np.ndarray:
        """Return the value (M, T) of each row, or of each pair's row minus its reference."""
        return values[self.rows] if self.references is None else values[self.rows] - values[self.references]


@dataclass(frozen=True)
class Answers:
    """What the private folder holds."""

    challenge: Challenge
    ids: pd.Index  # (N,)
    truth: np.ndarray  # (N, T) float64, NaN where unknown
    test_ids: pd.Index  # of every test row, in answers.csv or not
    subsets: Mapping[str, Subset]  # "all" is always there


class Report(NamedTuple):
    """Scores by usage and name, and why those that are absent have no value."""

    scores: dict[str, dict[str, float]]
    absent: dict[str, dict[str, str]]


def score(challenge: Path | OpenChallenge, predictions: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return {usage: {score name: value}} of a table with id and target columns, for the usages there are.

    A score that has no value in a usage is absent there (score_report says why). InputError lists everything
    that is wrong with the predictions: no row whose answer is known may be missing.
    """
    return score_report(read_answers(challenge), predictions).scores


def score_report(answers: Answers, predictions: pd.DataFrame) -> Report:
    """Score a table of predictions by every declared score in every usage."""
    prediction = match(answers, predictions)
    report = Report({}, {})
    for usage in USAGES:
        cells = _Cells(answers, prediction, usage)
        report.scores[usage], report.absent[usage] = {}, {}
        for declared in answers.challenge.scores:
            try:
                report.scores[usage][declared.name] = cells.combine(declared)
            except UndefinedMetric as reason:
                report.absent[usage][declared.name] = str(reason)
    return report


class _Cells:
    """The metrics of one table in one usage, each computed once for all the scores that share it."""

    def __init__(self, answers: Answers, prediction: np.ndarray, usage: str) -> None:
        self.answers, self.prediction, self.usage = answers, prediction, usage
        self.values: dict[tuple[str, str], float] = {}

    def combine(self, declared: Score) -> float:
        """Return a score's metric on its subset, or the weighted mean of it over all its subsets."""
        weights = declared.weights or {declared.subset: 1.0}
        total = sum(weight * self.value(declared.metric, subset) for subset, weight in weights.items())
        return total / sum(weights.values())

    def value(self, metric: str, subset: str) -> float:
        if (metric, subset) not in self.values:
            truth, prediction = select(self.answers, self.prediction, subset, self.usage)
            try:
                self.values[metric, subset] = METRICS[metric].function(truth, prediction)
            except UndefinedMetric as reason:
                raise UndefinedMetric(f"subset {subset!r}: {reason}") from None
        return self.values[metric, subset]


def select(
    answers: Answers, prediction: np.ndarray, subset: str, usage: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and prediction (M, T) of the known rows or pairs of a subset in a usage."""
    members = answers.subsets[subset]
    truth = members.differences(answers.truth)
    wanted = ~np.isnan(truth).all(axis=1)
    if usage != "all":
        wanted &= members.public == (usage == "public")
    return truth[wanted], members.differences(prediction)[wanted]


def match(answers: Answers, predictions: pd.DataFrame) -> np.ndarray:
    """Return predictions (N, T) in the order of the answers, by id; NaN where neither is known."""
    targets = target_names(answers.challenge)
    known = answers.ids[~np.isnan(answers.truth).all(axis=1)]
    problems = find_problems(predictions, known, targets, allowed=answers.test_ids)
    if problems:
        raise InputError(f"the predictions were refused: {'; '.join(problems)}")
    return align(predictions, answers.ids, targets)


def score_rows(challenge: Challenge, truth: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """Return {score name: value} of arrays (N, T) in the same order, by the scores that need no subset."""
    return {
        declared.name: METRICS[declared.metric].function(truth, prediction)
        for declared in challenge.scores
        if not declared.weights and declared.subset == "all"
    }


def score_submission(path: Path, challenge: OpenChallenge) -> Manifest:
    """Score a submission and write the scores into its manifest; InputError where it is refused."""
    manifest = read_manifest(path.with_suffix(".json"))
    if manifest.csv_sha256 != file_digest(path):
        raise InputError(f"{path} is not the file that its manifest describes; submit it again")
    if manifest.challenge_digest != challenge.digest:
        raise InputError(f"{path} was made for another build of {manifest.challenge!r}; run it again")
    frame = read_checked(path, challenge)
    return update_manifest(path, scores=score_report(read_answers(challenge), frame).scores)


def has_answers(challenge: OpenChallenge) -> bool:
    """Say whether the answers are here: whoever only competes may not have them."""
    return (challenge.folder / "private" / "answers.csv").exists()


def read_answers(challenge: Path | OpenChallenge) -> Answers:
    """Read private/ after checking it against its checksums; InputError says what is missing or wrong."""
    folder = challenge if isinstance(challenge, Path) else challenge.folder
    declaration = from_toml(folder / "public" / "challenge.toml")
    private = folder / "private"
    _verify(private)
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
    return Answers(declaration, ids, truth, pd.Index(sample["id"]), subsets)


def _verify(private: Path) -> None:
    listed = toml.load(private / "checksums.toml")["files"]
    for name in ("answers.csv", "subsets.csv"):
        path = private / name
        if path.exists() != (name in listed) or not (private / "answers.csv").exists():
            raise InputError(f"{path} does not agree with private/checksums.toml; build the challenge again")
        if name in listed and file_digest(path) != listed[name]:
            raise InputError(f"{path} has changed since the challenge was built; build the challenge again")


def _check_ids(ids: pd.Series, path: Path) -> None:
    repeated = ids[ids.duplicated()]
    if len(repeated):
        raise InputError(f"{path}: id {repeated.iloc[0]!r} comes twice; wanted each id once")


def _check_usages(usages: pd.Series, path: Path, wanted: list[str]) -> None:
    for usage in usages.unique():
        if usage not in wanted:
            raise InputError(f"{path}: usage {usage!r}; wanted one of {wanted}")


def _read_subsets(path: Path, declaration: Challenge, ids: pd.Index, public: np.ndarray) -> dict[str, Subset]:
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
