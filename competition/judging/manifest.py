"""A manifest: the JSON beside a submission that says where it came from and what it scored."""

import dataclasses
import json
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from competition.base.errors import InputError, one_of
from competition.base.files import locked, write_text
from competition.base.typed import fits
from competition.data.challenge import Challenge
from competition.data.declaration import Declaration, Score

SUBMISSION_KINDS = ("solution", "control", "ensemble")


class DeclaredScore(TypedDict):
    """A score of a challenge, as a manifest has it."""

    name: str
    metric: str
    direction: str
    unit: NotRequired[str]
    subset: NotRequired[str]
    weights: NotRequired[dict[str, float]]


class Declared(TypedDict, total=False):
    """What a leaderboard must know of a challenge, so that it can be made from manifests alone."""

    scores: list[DeclaredScore]
    ceiling: dict[str, float]
    ensembles: bool
    tie_break: str
    tie_bayes_factor: float | None


class TargetScores(TypedDict, total=False):
    """What a submission scored on one of several targets; each field is as that of the manifest itself."""

    oof: dict[str, float]
    fold_scores: dict[str, list[float]]
    scores: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, list[float]]]
    controls: dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Manifest:
    """Where a submission came from and what it scored. Keys that are not known here are kept."""

    challenge: str
    challenge_digest: str  # sha256 of challenge.toml, as it was when the run began
    solution: str
    run: str
    created: str  # UTC, ISO 8601
    kind: str = "solution"  # "solution", "control" or "ensemble"
    train_digest: str = ""  # of the training rows: out-of-fold scores of the same ones are comparable
    # Of answers and subsets, from the scorer: test scores on the same ones are comparable. It confirms a
    # guess of all answers, as the scores with their sixteen digits do.
    answers_digest: str = ""
    declared: Declared = field(default_factory=Declared)
    command: str = ""
    seed: int | None = None
    num_folds: int | None = None
    config: Mapping[str, object] = field(default_factory=dict)
    oof: dict[str, float] = field(default_factory=dict)  # score -> value over all out-of-fold rows
    fold_scores: dict[str, list[float]] = field(default_factory=dict)  # score -> value of each fold
    scores: dict[str, dict[str, float]] = field(default_factory=dict)  # usage -> score -> value; scorer's
    intervals: dict[str, dict[str, list[float]]] = field(default_factory=dict)  # usage -> score -> low, high
    controls: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)  # name -> usage -> score
    private_evaluations: int | None = None  # different predictions scored on the private answers by then
    draws: dict[str, str] = field(default_factory=dict)  # usage -> primary score in each resample, packed
    targets: dict[str, TargetScores] = field(default_factory=dict)  # of several: each by itself
    collapsed: str | None = None  # why the predictions do not rank the rows
    num_parameters: int | None = None
    train_seconds: float | None = None
    device: str = ""
    precision: str = ""
    num_processes: int | None = None
    rows_per_second: float | None = None  # training rows, over all processes
    versions: dict[str, str] = field(default_factory=dict)
    git_commit: str | None = None
    source_digest: str = ""  # of the solution's files
    fold_digest: str = ""
    init: str = ""  # the run whose weights each fold started from
    exclude_homologs_of: str = ""  # the challenge whose homologs no model was trained on
    weights: dict[str, str] = field(default_factory=dict)  # file -> sha256
    csv_sha256: str = ""
    warnings: list[str] = field(default_factory=list)  # leaks of the challenge, a line each
    notes: str = ""
    extra: Mapping[str, object] = field(default_factory=dict)  # keys written by another version of the kit

    def __post_init__(self) -> None:
        if self.kind not in SUBMISSION_KINDS:
            raise one_of("kind", self.kind, list(SUBMISSION_KINDS))


def new_manifest(challenge: Challenge, /, **values: Any) -> Manifest:
    """Return the manifest of a submission to a challenge that is made now."""
    known = {
        "challenge": challenge.declaration.name,
        "challenge_digest": challenge.digest,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "declared": declare(challenge.declaration),
    }
    return Manifest(**known | values)


def declare(declaration: Declaration) -> Declared:
    """Return what a leaderboard must know of a challenge."""
    return {
        "scores": list(map(_declare_score, declaration.scores)),
        "ceiling": dict(declaration.ceiling),
        "ensembles": declaration.ensembles,
        "tie_break": declaration.tie_break,
        "tie_bayes_factor": declaration.tie_bayes_factor,
    }


def _declare_score(score: Score) -> DeclaredScore:
    declared: DeclaredScore = {
        "name": score.name,
        "metric": score.metric,
        "direction": score.direction,
        "unit": score.unit,
        "subset": score.subset,
    }
    return {**declared, "weights": dict(score.weights)} if score.weights else declared


def to_json(manifest: Manifest) -> str:
    """Format a manifest as JSON; numbers keep their full precision. A single target is not listed."""
    document = dataclasses.asdict(manifest)
    document |= document.pop("extra")
    if not manifest.targets:
        del document["targets"]
    document["config"] = {name: _plain(value) for name, value in document["config"].items()}
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False, default=_plain) + "\n"


def _plain(value: object) -> object:
    """Convert what JSON has no form for: numbers of numpy to numbers, all else to text."""
    if hasattr(value, "item"):
        return value.item()
    if value is None or isinstance(value, (bool, int, str, list, tuple, dict)):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else str(value)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; InputError names the file and what is wrong with it."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; wanted the manifest of a submission") from None
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(f"{path} is not a manifest: {error}") from None
    if not isinstance(document, dict):
        raise InputError(f"{path} is not a manifest: got a JSON {type(document).__name__}")
    faults = _manifest_faults(document)
    if faults:
        raise InputError(f"{path} is not a manifest: {'; '.join(faults)}")
    names = {f.name for f in fields(Manifest)} - {"extra"}
    known = {key: value for key, value in document.items() if key in names}
    return Manifest(**known, extra={key: value for key, value in document.items() if key not in names})


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a score; a manifest holds finite numbers only")


def _manifest_faults(document: Mapping[str, object]) -> list[str]:
    hints = typing.get_type_hints(Manifest)
    faults = []
    for item in fields(Manifest):
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        if item.name not in document:
            faults += [f"{item.name} is missing"] if required else []
        elif item.name != "extra" and not fits(document[item.name], hints[item.name]):
            faults.append(f"{item.name} is {document[item.name]!r:.60}")
    if not faults and document.get("kind", "solution") not in SUBMISSION_KINDS:
        faults.append(f"kind is {document['kind']!r}; wanted {', '.join(SUBMISSION_KINDS)}")
    return faults


def write_manifest(path: Path, manifest: Manifest) -> Path:
    """Write the manifest <path>.json of a run that has no test rows, and so no CSV; return its path."""
    file = path.with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.parent):
        write_text(file, to_json(manifest))
    return file


def update_manifest(path: Path, **changes: Any) -> Manifest:
    """Change fields of the manifest beside a submission, such as scores=...; nothing else is lost."""
    file = path.with_suffix(".json")
    with locked(path.parent):
        manifest = change(read_manifest(file), **changes)
        write_text(file, to_json(manifest))
    return manifest


def change(manifest: Manifest, **changes: Any) -> Manifest:
    """Return a manifest with these fields; of each target, what is not in the change stays."""
    targets: dict[str, TargetScores] = {name: {**each} for name, each in manifest.targets.items()}
    for name, each in changes.get("targets", {}).items():
        targets[name] = {**targets.get(name, {}), **each}
    return replace(manifest, **changes | {"targets": targets})


def of_target(manifest: Manifest, name: str) -> Manifest:
    """Return a manifest with the scores of one of several targets in place of their means."""
    absent: TargetScores = {"oof": {}, "fold_scores": {}, "scores": {}, "intervals": {}, "controls": {}}
    return replace(manifest, **absent | manifest.targets.get(name, {}), draws={}, targets={})
