"""Score predictions of the test rows.

What is scored is declared in challenge.toml; here is only how: rows are matched by id, a pair is scored by
its difference (row minus reference), and a composite is the weighted mean of its metric over its subsets.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from competition.data.challenge import Challenge, target_names
from competition.data.declaration import Score
from competition.judging.answers import Answers, read_answers
from competition.judging.manifest import TargetScores
from competition.judging.submission import align, find_problems
from competition.judging.uncertainty import intervals, known, mean_over_targets, notes, resample_targets
from competition.metrics.metric import UndefinedMetric
from competition.metrics.registry import METRICS

USAGES = ("public", "private", "all")


class Scored(NamedTuple):
    """What one submission scored, with the bootstrap of every score."""

    report: "Report"
    draws: dict[str, dict[str, np.ndarray]]  # usage -> score -> its value in every resample (1, R)
    notes: list[str]  # of which subsets the intervals are too narrow, and why
    target_intervals: dict[str, dict[str, dict[str, list[float]]]]  # of several: target -> usage -> score

    @property
    def intervals(self) -> dict[str, dict[str, list[float]]]:
        """Return the 95 % interval of every score: usage -> score -> low, high."""
        return {usage: intervals(each) for usage, each in self.draws.items()}

    @property
    def targets(self) -> dict[str, TargetScores]:
        """Return what each of several targets scored."""
        return {
            name: {"scores": scores, "intervals": self.target_intervals[name]}
            for name, scores in self.report.targets.items()
        }


class Report(NamedTuple):
    """Scores by usage and name, and why those that are absent have no value."""

    scores: dict[str, dict[str, float]]
    absent: dict[str, dict[str, str]]
    targets: dict[str, dict[str, dict[str, float]]]  # of several: target -> usage -> score -> value


def score(challenge: Path | Challenge, predictions: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return {usage: {score name: value}} of a table with id and target columns, for the usages there are.

    A score that has no value in a usage is absent there (score_report says why). InputError lists everything
    that is wrong with the predictions: no row whose answer is known may be missing.
    """
    return score_report(read_answers(challenge), predictions).scores


def score_report(answers: Answers, predictions: pd.DataFrame) -> Report:
    """Score a table of predictions by every declared score in every usage."""
    return report_array(answers, match(answers, predictions))


def report_array(answers: Answers, prediction: np.ndarray, usages: Sequence[str] = USAGES) -> Report:
    """Score predictions (N, T) in the order of the answers."""
    names = target_names(answers.declaration)
    report = Report({}, {}, {name: {} for name in names if len(names) > 1})
    for usage in usages:
        cells = _Cells(answers, prediction, usage)
        report.scores[usage], report.absent[usage] = cells.score(names)
        for name, scores in report.targets.items():
            scores[usage], _ = cells.score([name])
    return report


class _Cells:
    """The metrics of one table in one usage, each computed once for all the scores that share it."""

    def __init__(self, answers: Answers, prediction: np.ndarray, usage: str) -> None:
        self.answers, self.prediction, self.usage = answers, prediction, usage
        self.targets = target_names(answers.declaration)
        self.parts: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.values: dict[tuple[str, str, str], float] = {}

    def score(self, targets: Sequence[str]) -> tuple[dict[str, float], dict[str, str]]:
        """Return the declared scores, each the mean over these targets, and why others have no value."""
        scores, absent = {}, {}
        for declared in self.answers.declaration.scores:
            try:
                scores[declared.name] = self.combine(declared, targets)
            except UndefinedMetric as reason:
                absent[declared.name] = str(reason)
        return scores, absent

    def combine(self, declared: Score, targets: Sequence[str]) -> float:
        """Return a score's metric on its subset, or the weighted mean of it over all its subsets."""
        weights = declared.weights or {declared.subset: 1.0}
        total = sum(weight * self.mean(declared.metric, name, targets) for name, weight in weights.items())
        return total / sum(weights.values())

    def mean(self, metric: str, subset: str, targets: Sequence[str]) -> float:
        return math.fsum(self.value(metric, subset, target) for target in targets) / len(targets)

    def value(self, metric: str, subset: str, target: str) -> float:
        if (metric, subset, target) not in self.values:
            if subset not in self.parts:
                self.parts[subset] = select(self.answers, self.prediction, subset, self.usage)
            column = self.targets.index(target)
            truth, prediction = (values[:, column] for values in self.parts[subset])
            try:
                self.values[metric, subset, target] = METRICS[metric].function(truth, prediction)
            except UndefinedMetric as reason:
                which = f"target {target!r}, " if len(self.targets) > 1 else ""
                raise UndefinedMetric(f"{which}subset {subset!r}: {reason}") from None
        return self.values[metric, subset, target]


def select(
    answers: Answers, prediction: np.ndarray, subset: str, usage: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and prediction (M, T) of the known rows or pairs of a subset in a usage."""
    members = answers.subsets[subset]
    wanted = known(answers, members, usage)
    return members.differences(answers.truth)[wanted], members.differences(prediction)[wanted]


def match(answers: Answers, predictions: pd.DataFrame, usage: str = "all") -> np.ndarray:
    """Return predictions (N, T) in the order of the answers, by id; NaN where there is none.

    InputError lists what is wrong with them. Every row that the usage is scored on must be there.
    """
    targets = target_names(answers.declaration)
    problems = _mismatches(answers, predictions, usage)
    if problems:
        public = usage != "public" and _rows_of(answers, "public").any()
        enough = public and not _mismatches(answers, predictions, "public")
        hint = "; every public row is there: --usage public scores those" if enough else ""
        raise InputError(f"the predictions were refused: {'; '.join(problems)}{hint}")
    return align(predictions, answers.ids, targets)


def _mismatches(answers: Answers, predictions: pd.DataFrame, usage: str) -> list[str]:
    wanted = answers.ids[_rows_of(answers, usage)]
    return find_problems(predictions, wanted, target_names(answers.declaration), allowed=answers.test_ids)


def _rows_of(answers: Answers, usage: str) -> np.ndarray:
    """Say which rows (N,) a usage is scored on; those of its pairs count whatever their own usage is."""
    scored = np.full(len(answers.ids), usage == "all")
    for subset in answers.subsets.values():
        members = subset.public == (usage == "public")
        for rows in (subset.rows, subset.references):
            if rows is not None:
                scored[rows[members]] = True
    scored &= ~np.isnan(answers.truth).all(axis=1)
    return scored


def score_with_intervals(answers: Answers, prediction: np.ndarray, usages: Sequence[str] = USAGES) -> Scored:
    """Score predictions (N, T) in the order of the answers, and over resamples of them."""
    report = report_array(answers, prediction, usages)
    by_target = report.targets.values()  # each may have a value where their mean has none
    scored = [usage for usage in usages if any(each[usage] for each in (report.scores, *by_target))]
    draws = {usage: resample_targets(answers, [prediction], usage) for usage in scored}
    target_intervals = {
        name: {usage: _intervals_of(each, number) for usage, each in draws.items()}
        for number, name in enumerate(report.targets)
    }
    means = {usage: mean_over_targets(each) for usage, each in draws.items()}
    return Scored(
        report, means, [note for usage in scored for note in notes(answers, usage)], target_intervals
    )


def _intervals_of(draws: dict[str, np.ndarray], target: int) -> dict[str, list[float]]:
    """Return the interval of each score of one target from draws (T, 1, R)."""
    return intervals({name: each[target] for name, each in draws.items()})
