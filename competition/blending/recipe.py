"""The recipe of an ensemble: what its manifest keeps of the blend, enough to make it again."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypedDict

import numpy as np

from competition.base.errors import InputError
from competition.base.typed import fits
from competition.blending.blend import Line
from competition.blending.moments import with_rank_mean


class Member(NamedTuple):
    """A submission that a blend is made of, by name and by what was in it."""

    solution: str
    run: str
    csv_sha256: str

    @property
    def name(self) -> str:
        return f"{self.solution}-{self.run}"


class WeightedMember(TypedDict):
    """A member and its weight, as a manifest has them."""

    solution: str
    run: str
    csv_sha256: str
    weight: float


class RecipeConfig(TypedDict):
    """A recipe as the config of a manifest."""

    method: str
    members: list[WeightedMember]
    rank_mean_weight: float
    shift: list[float]


class Recipe(NamedTuple):
    """A way of weighting and the members that it uses; a line's last weight is that of their rank mean."""

    method: str
    members: tuple[Member, ...]
    line: Line

    def __call__(self, predictions: np.ndarray) -> np.ndarray:
        """Return the blend (K, T) of the members' predictions (M, K, T)."""
        return self.line(with_rank_mean(predictions))

    def to_config(self) -> RecipeConfig:
        """Write the recipe as the config of a manifest."""
        weights = self.line.weights.tolist()
        members = zip(self.members, weights[:-1], strict=True)
        return {
            "method": self.method,
            "members": [
                {"solution": solution, "run": run, "csv_sha256": digest, "weight": weight}
                for (solution, run, digest), weight in members
            ],
            "rank_mean_weight": weights[-1],
            "shift": self.line.shift.tolist(),
        }


def make_recipe(method: str, line: Line, members: Sequence[Member]) -> Recipe:
    """Return the recipe of a line over members, without those that it does not use.

    They are sorted by name, so that their order on the command line changes nothing.
    """
    *weights, of_ranks = line.weights.tolist()
    used = sorted((m, weight) for m, weight in zip(members, weights, strict=True) if weight or of_ranks)
    kept = np.array([*(weight for _, weight in used), of_ranks])
    return Recipe(method, tuple(member for member, _ in used), Line(kept, line.shift))


def read_recipe(config: Mapping[str, object], name: str) -> Recipe:
    """Read what to_config wrote; InputError where a manifest of this name does not say how to blend again."""
    if not fits(config, RecipeConfig):
        raise InputError(
            f"the manifest of {name} does not name each member's csv_sha256 and weight; blend them again: "
            "python -m competition.ensemble CHALLENGE --members ..."
        )
    members = tuple(Member(each["solution"], each["run"], each["csv_sha256"]) for each in config["members"])
    weights = [*(each["weight"] for each in config["members"]), config["rank_mean_weight"]]
    line = Line(np.array(weights, dtype=np.float64), np.array(config["shift"], dtype=np.float64))
    return Recipe(config["method"], members, line)
