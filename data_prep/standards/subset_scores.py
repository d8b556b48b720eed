"""Scores over all test rows and over each of their subsets."""

from collections.abc import Iterable, Mapping

from competition.data.declaration import Score


def scores_by_subset(metrics: Mapping[str, str], subsets: Iterable[str]) -> list[Score]:
    """Return each metric (name -> unit) over all rows under its own name, then over each subset as well."""
    overall = [Score.of(metric, unit=unit) for metric, unit in metrics.items()]
    return overall + [
        Score.of(metric, f"{metric}_{subset}", unit=unit, subset=subset)
        for subset in subsets
        for metric, unit in metrics.items()
    ]
