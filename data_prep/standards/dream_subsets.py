"""The test subsets of DREAM 2022, and their weights in its two scores (Rafi et al., 2024)."""

from typing import NamedTuple


class Subset(NamedTuple):
    """What a subset consists of, and the weight of its score."""

    kind: str  # "rows" or "pairs"
    weight: float


SUBSETS = {
    "high": Subset("rows", 0.3),
    "low": Subset("rows", 0.3),
    "yeast": Subset("rows", 0.3),
    "random": Subset("rows", 0.3),
    "challenging": Subset("rows", 0.5),
    "SNVs": Subset("pairs", 1.25),
    "motif_perturbation": Subset("pairs", 0.3),
    "motif_tiling": Subset("pairs", 0.4),
}


def subsets(*, native: str = "yeast") -> dict[str, Subset]:
    """Return the subsets by name; native names the one of native promoters."""
    return {native if name == "yeast" else name: subset for name, subset in SUBSETS.items()}


def kinds(chosen: dict[str, Subset]) -> dict[str, str]:
    """Return the kind of each subset."""
    return {name: subset.kind for name, subset in chosen.items()}


def weights(chosen: dict[str, Subset]) -> dict[str, float]:
    """Return the weight of each subset and, first, of all rows; in DREAM 2022 they add up to 4.65."""
    return {"all": 1.0} | {name: subset.weight for name, subset in chosen.items()}
