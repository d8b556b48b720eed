"""The declaration of a challenge, challenge.toml: what is predicted from what, and how it is scored."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from competition.base.errors import InputError, one_of
from competition.metrics.registry import METRICS

SUBSET_KINDS = ("rows", "pairs")
# What no input may be called, and no sequence but the first, as the rows have it already.
TAKEN = ("sequence", "length", "sequence_index", "target", "rows", "weight")


@dataclass(frozen=True)
class InputSequence:
    """A sequence that every row has: where its windows count from, and what surrounds it."""

    name: str = "sequence"
    origin: int = 0  # index of the base that windows count from
    left_flank: str = ""  # the construct around a stored sequence, nearest base last
    right_flank: str = ""
    window: tuple[int, int] | None = (
        None  # what is read where a Config does not say; None: all that is stored
    )

    @property
    def files(self) -> tuple[str, str, str]:
        """The names of its files of tokens, lengths and index, without .npy."""
        if self.name == "sequence":
            return "sequence", "length", "sequence_index"
        return self.name, f"{self.name}_length", f"{self.name}_index"


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

    @classmethod
    def of(
        cls,
        metric: str,
        name: str = "",
        *,
        unit: str = "",
        subset: str = "all",
        weights: Mapping[str, float] | None = None,
    ) -> "Score":
        """Return a score, named like its metric if not otherwise, with the direction and range of that.

        unit is the target's: a metric that squares it says so, and one without a unit has none.
        """
        if metric not in METRICS:
            raise one_of("metric", metric, list(METRICS))
        of = METRICS[metric]
        return cls(
            name or metric, metric, of.direction, of.low, of.high, of.unit(unit), subset, weights or {}
        )


@dataclass(frozen=True)
class Declaration:
    """The declaration in challenge.toml: pure data, without any path."""

    name: str
    targets: tuple[Target, ...]
    scores: tuple[Score, ...]  # the first is the primary one
    title: str = ""
    source: str = ""
    licence: str = ""
    sequences: tuple[InputSequence, ...] = (InputSequence(),)
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # per-row shapes besides sequences
    subsets: Mapping[str, str] = field(default_factory=dict)  # name -> "rows" or "pairs"
    ensembles: bool = True
    tie_break: str = ""  # name of the score that orders submissions within a tier
    # Two are a tie where their Bayes factor is under this; without it, where the 95 % interval of their
    # difference includes 0.
    tie_bayes_factor: float | None = None
    near_duplicates: bool = True  # rows of near-duplicate sequences share a fold
    row_weights: bool = False  # each training row has a weight in the loss
    ceiling: Mapping[str, float] = field(default_factory=dict)  # score name -> best value the noise allows
    files: Mapping[str, str] = field(default_factory=dict)  # path in public/ -> sha256

    def __post_init__(self) -> None:
        _check(self)

    @property
    def primary(self) -> Score:
        return self.scores[0]

    @property
    def input_names(self) -> tuple[str, ...]:
        """All that forward may ask for."""
        return (*(each.name for each in self.sequences), *self.inputs)

    @property
    def train_digest(self) -> str:
        """sha256 over the digests of the training rows' files, whatever else is declared."""
        listed = [f"{digest} {path}" for path, digest in self.files.items() if path.startswith("train/")]
        return hashlib.sha256("\n".join(sorted(listed)).encode()).hexdigest()


@dataclass(frozen=True)
class Shapes:
    """What a model knows of its challenge: the shape of each input of one row, and the target names."""

    inputs: Mapping[str, tuple[int, ...]]
    targets: tuple[str, ...]


def _check(declaration: Declaration) -> None:
    where = f"challenge {declaration.name!r}"
    if not declaration.targets or not declaration.scores:
        raise InputError(
            f"{where} has no {'scores' if declaration.targets else 'targets'}; wanted at least one"
        )
    for kind, names in {
        "target": [target.name for target in declaration.targets],
        "score": [score.name for score in declaration.scores],
    }.items():
        if len(set(names)) < len(names):
            raise InputError(f"{where}: {kind}s are called {', '.join(names)}; wanted each name once")
    _check_inputs(declaration, where)
    _check_scores(declaration, where)
    names = [score.name for score in declaration.scores]
    if declaration.tie_break and declaration.tie_break not in names:
        raise one_of("score for tie_break", declaration.tie_break, names)
    factor = declaration.tie_bayes_factor
    if factor is not None and not (type(factor) in (int, float) and 1 <= factor < math.inf):
        raise InputError(
            f"{where}: tie_bayes_factor is {factor!r}; wanted a number from 1, such as DREAM's 3"
        )


def _check_scores(declaration: Declaration, where: str) -> None:
    """Raise InputError where a score or a subset is of no known kind."""
    known = {"all", *declaration.subsets}
    for name, kind in declaration.subsets.items():
        if kind not in SUBSET_KINDS:
            raise InputError(f"{where}: subset {name!r} is of kind {kind!r}; wanted rows or pairs")
    for score in declaration.scores:
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


def _check_inputs(declaration: Declaration, where: str) -> None:
    """Raise InputError where inputs and sequences cannot be called so, or a window is none."""
    if not declaration.sequences:
        raise InputError(f"{where} has no sequences; wanted at least one")
    taken = set(TAKEN) - set(InputSequence().files)
    for each in declaration.sequences:
        if taken & set(each.files) or not each.name.isidentifier():
            raise InputError(f"{where}: a sequence cannot be called {each.name!r}; wanted another name")
        taken |= set(each.files)
        if each.window is not None and not _is_window(each.window):
            raise InputError(f"{where}: {each.name} has the window {each.window}; wanted [start, stop)")
    for name in declaration.inputs:
        if name in taken or name in TAKEN or not name.isidentifier():
            raise InputError(f"{where}: an input cannot be called {name!r}; wanted another name")


def _is_window(window: tuple[Any, ...]) -> bool:
    return [type(edge) for edge in window] == [int, int] and window[0] < window[1]
