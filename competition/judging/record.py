"""The scores of a submission as its manifest holds them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd

from competition.base.errors import InputError
from competition.base.files import file_digest
from competition.data.challenge import Challenge
from competition.judging.answers import count_private_evaluation, read_answers
from competition.judging.controls import score_controls
from competition.judging.manifest import Declared, TargetScores, declare, read_manifest, update_manifest
from competition.judging.scoring import Scored, match, score_with_intervals
from competition.judging.submission import read_checked
from competition.judging.uncertainty import pack
from competition.metrics.registry import score_all, score_folds


class ScoreRecord(TypedDict):
    """The fields of a manifest that hold its scores."""

    declared: Declared
    answers_digest: str
    scores: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, list[float]]]
    draws: dict[str, str]
    controls: dict[str, dict[str, dict[str, float]]]
    private_evaluations: int
    targets: dict[str, TargetScores]


class OutOfFold(TypedDict):
    """The fields of a manifest that hold the scores of out-of-fold predictions."""

    oof: dict[str, float]
    fold_scores: dict[str, list[float]]
    targets: dict[str, TargetScores]


def score_out_of_fold(
    names: Sequence[str], truth: np.ndarray, prediction: np.ndarray, fold: np.ndarray
) -> OutOfFold:
    """Score out-of-fold predictions (N, T) of the targets of these names, in folds numbered from 0 (N,)."""
    columns = {name: (slice(None), [number]) for number, name in enumerate(names) if len(names) > 1}
    return {
        "oof": score_all(truth, prediction),
        "fold_scores": score_folds(truth, prediction, fold),
        "targets": {
            name: {
                "oof": score_all(truth[column], prediction[column]),
                "fold_scores": score_folds(truth[column], prediction[column], fold),
            }
            for name, column in columns.items()
        },
    }


def score_submission(path: Path, challenge: Challenge) -> Scored:
    """Score a submission that is written and renew the scores in its manifest; InputError if it is refused.

    The declaration may have changed since the run (a title, a ceiling, a score), as long as the ids fit.
    """
    manifest = read_manifest(path.with_suffix(".json"))
    if manifest.csv_sha256 != file_digest(path):
        raise InputError(f"{path} is not the file that its manifest describes; submit it again")
    if manifest.challenge != challenge.declaration.name:
        raise InputError(
            f"{path} is of challenge {manifest.challenge!r}; wanted {challenge.declaration.name!r}"
        )
    scored, record = score_table(challenge, read_checked(path, challenge), manifest.csv_sha256)
    update_manifest(path, **record)
    return scored


def score_table(
    challenge: Challenge, predictions: pd.DataFrame, csv_sha256: str
) -> tuple[Scored, ScoreRecord]:
    """Score the predictions of a CSV; return the scores, and what its manifest keeps of them."""
    answers = read_answers(challenge)
    scored = score_with_intervals(answers, match(answers, predictions))
    primary = answers.declaration.primary.name
    controls = score_controls(answers, np.asarray(challenge.train.target, dtype=np.float64))
    targets: dict[str, TargetScores] = {
        name: {**each, "controls": {control: report.targets[name] for control, report in controls.items()}}
        for name, each in scored.targets.items()
    }
    return scored, {
        "declared": declare(challenge.declaration),
        "answers_digest": answers.digest,
        "scores": scored.report.scores,
        "intervals": scored.intervals,
        "draws": {usage: pack(each[primary][0]) for usage, each in scored.draws.items()},
        "controls": {control: report.scores for control, report in controls.items()},
        "private_evaluations": count_private_evaluation(challenge.folder, csv_sha256),
        "targets": targets,
    }
