"""Bootstrap the scores of test predictions: every declared score, over the same resamples for all."""

import base64
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from competition.data.declaration import Score
from competition.data.groups import chain, components
from competition.judging.answers import Answers, Subset
from competition.judging.bootstrap import (
    RESAMPLES,
    draw_counts,
    interval,
    prepare,
    significantly_better,
)
from competition.metrics.metric import Weighted
from competition.metrics.registry import METRICS

MIN_GROUPS = 20  # fewer, such as three chromosomes, are too few to draw from


class Unit(NamedTuple):
    """What a resample draws from: the rows of a usage, or the pairs of one subset."""

    name: str
    chosen: np.ndarray  # (M,) of Answers.ids, or of the subset's pairs
    group: np.ndarray  # (M,) of dependent ones, drawn whole
    note: str  # where dependent ones are drawn singly: which, and why


def resample_scores(
    answers: Answers,
    predictions: Sequence[np.ndarray],
    usage: str,
    *,
    scores: Sequence[Score] | None = None,
    resamples: int = RESAMPLES,
) -> dict[str, np.ndarray]:
    """Return each declared score (S, R) of each prediction (N, T) in each resample; see resample_targets."""
    draws = resample_targets(answers, predictions, usage, scores=scores, resamples=resamples)
    return mean_over_targets(draws)


def mean_over_targets(draws: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the mean (S, R) of each score's draws (T, S, R)."""
    return {name: each.mean(axis=0) for name, each in draws.items()}


def resample_targets(
    answers: Answers,
    predictions: Sequence[np.ndarray],
    usage: str,
    *,
    scores: Sequence[Score] | None = None,
    resamples: int = RESAMPLES,
) -> dict[str, np.ndarray]:
    """Return each declared score (T, S, R) of every target of each prediction (N, T) in each resample.

    Rows (groups of rows where answers.csv has them) are drawn once for all the subsets of rows, so that their
    overlap is kept. The pairs of a subset are drawn by themselves, each with all that a chain of shared rows
    or groups joins to it. Where that leaves fewer than twenty sets to draw from, single ones are drawn, and
    notes says so. NaN where a resample has no value.
    """
    scores = list(answers.declaration.scores if scores is None else scores)
    wanted = {(_base(s.metric), subset) for s in scores for subset in (s.weights or {s.subset: 1.0})}
    together: dict[str | None, list[tuple[str, str]]] = {}
    for key in sorted(wanted):
        is_pairs = answers.subsets[key[1]].references is not None
        together.setdefault(key[1] if is_pairs else None, []).append(key)
    values: dict[tuple[str, str], np.ndarray] = {}
    for pairs, keys in together.items():
        values |= _resample(answers, predictions, usage, keys, pairs, resamples)
    return {score.name: _combine(score, values) for score in scores}


def _combine(score: Score, values: dict[tuple[str, str], np.ndarray]) -> np.ndarray:
    weights = score.weights or {score.subset: 1.0}
    power = 2 if METRICS[score.metric].square_of else 1
    parts = [weight * values[_base(score.metric), subset] ** power for subset, weight in weights.items()]
    return np.asarray(np.sum(parts, axis=0) / sum(weights.values()))


def _base(metric: str) -> str:
    """Return the metric that is resampled: the one that it is the square of, or itself."""
    return METRICS[metric].square_of or metric


def _resample(
    answers: Answers,
    predictions: Sequence[np.ndarray],
    usage: str,
    keys: Sequence[tuple[str, str]],
    pairs: str | None,
    resamples: int,
) -> dict[tuple[str, str], np.ndarray]:
    """Return {(metric, subset): (T, S, R)} for subsets that share their draws."""
    unit = _unit(answers, usage, pairs)
    empty = np.full((answers.truth.shape[1], len(predictions), resamples), np.nan)
    if not keys or not len(unit.chosen):
        return dict.fromkeys(keys, empty)
    scorers = {key: _scorer(answers, predictions, *key, unit, pairs) for key in keys}
    parts: dict[tuple[str, str], list[np.ndarray]] = {key: [] for key in keys}
    for block in draw_counts(len(unit.chosen), group=unit.group, resamples=resamples, name=unit.name):
        for key, (columns, score) in scorers.items():
            few = score is None or len(columns) < 2
            parts[key].append(
                empty[..., : len(block)] if few or score is None else score(_take(block, columns))
            )
    return {key: np.concatenate(each, axis=-1) for key, each in parts.items()}


def _take(block: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return block if np.array_equal(columns, np.arange(block.shape[1])) else np.take(block, columns, axis=1)


def notes(answers: Answers, usage: str) -> list[str]:
    """Say for which subsets dependent rows or pairs are drawn singly, which makes intervals too narrow."""
    names = {name: None for score in answers.declaration.scores for name in (score.weights or [score.subset])}
    subsets = {name if answers.subsets[name].references is not None else None: None for name in names}
    return [note for name in subsets if (note := _unit(answers, usage, name).note)]


def _unit(answers: Answers, usage: str, pairs: str | None) -> Unit:
    """Return the rows, or the pairs, with a known answer that a usage has."""
    name, subset = pairs or "rows", answers.subsets[pairs or "all"]
    chosen = np.flatnonzero(known(answers, subset, usage))
    ways = _ways(answers, subset, chosen)
    counts = {way: len(np.unique(group)) for way, group in ways.items()}
    best, finest = next(iter(ways)), list(ways)[-1]
    taken = next((way for way in ways if counts[way] >= MIN_GROUPS), finest)
    note = (
        f"{usage} {name}: {counts[best]} {best} are too few to draw from (wanted {MIN_GROUPS} or more), "
        f"so {taken} are drawn, and intervals are too narrow"
    )
    return Unit(f"{name}/{usage}", chosen, ways[taken], "" if taken == best or not len(chosen) else note)


def _ways(answers: Answers, subset: Subset, chosen: np.ndarray) -> dict[str, np.ndarray]:
    """Return what could be drawn of the chosen rows or pairs (M,), best first: what it is -> groups (M,)."""
    single, count = np.arange(len(chosen)), len(answers.ids)
    if subset.references is None:
        groups = {} if answers.group is None else {"groups": answers.group[chosen]}
        return {**groups, "single rows": single}
    rows = subset.rows[chosen]
    links = [np.stack([rows, subset.references[chosen]])]
    ways = {"sets of pairs that share rows": components(links, count)[rows], "single pairs": single}
    if answers.group is None:
        return ways
    same = chain(np.unique(answers.group, return_inverse=True)[1], np.arange(count))
    return {"sets of pairs that share rows or groups": components([*links, same], count)[rows], **ways}


def known(answers: Answers, subset: Subset, usage: str) -> np.ndarray:
    """Return which members (M,) of a subset have an answer and belong to a usage."""
    wanted: np.ndarray = ~np.isnan(subset.differences(answers.truth)).all(axis=1)
    if usage != "all":
        wanted &= subset.public == (usage == "public")
    return wanted


def _scorer(
    answers: Answers, predictions: Sequence[np.ndarray], metric: str, name: str, unit: Unit, pairs: str | None
) -> tuple[np.ndarray, Weighted | None]:
    """Return the columns of the counts that a subset reads, and what scores them."""
    subset = answers.subsets[name]
    if pairs is not None:
        members, columns = unit.chosen, np.arange(len(unit.chosen))
    else:
        place = np.full(len(answers.ids), -1)
        place[unit.chosen] = np.arange(len(unit.chosen))
        members = np.flatnonzero(place[subset.rows] >= 0)
        columns = place[subset.rows[members]]
    if not len(columns):
        return columns, None
    truth = subset.differences(answers.truth)[members]
    return columns, prepare(metric, truth, [subset.differences(p)[members] for p in predictions])


def intervals(draws: dict[str, np.ndarray]) -> dict[str, list[float]]:
    """Return the 95 % interval of each score (1, R) of one submission, where it has one."""
    return {name: list(interval(each[0])) for name, each in draws.items() if np.isfinite(each).any()}


def pack(draws: np.ndarray) -> str:
    """Format draws (R,) as text: float32, little-endian, base64."""
    return base64.b64encode(draws.astype("<f4").tobytes()).decode()


def unpack(text: str) -> np.ndarray:
    """Read what pack wrote."""
    return np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float64)


def tiers(draws: Sequence[np.ndarray], *, maximize: bool, tie_bayes_factor: float | None = None) -> list[int]:
    """Return the tier, from 1, of submissions that come best first, by their draws (R,) of one score.

    A tier holds its leader and those after it that tie with it by the bootstrap.
    """
    sign = 1 if maximize else -1
    found: list[int] = []
    leader = None
    for number, each in enumerate(draws):
        if leader is None or significantly_better(sign * (draws[leader] - each), tie_bayes_factor):
            leader = number
            found.append(found[-1] + 1 if found else 1)
        else:
            found.append(found[-1])
    return found
