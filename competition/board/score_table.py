"""The scores of one submission as tables."""

from collections.abc import Collection, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

from competition.data.declaration import Score
from competition.judging.scoring import Scored


def score_tables(scored: Scored, scores: Sequence[Score], title: str) -> list[Table]:
    """Lay out scores and their intervals: a line a score, a column a usage; then each of several targets."""
    usages = list(scored.report.scores)
    headings = ("score", "better", *(f"{usage}, 95 %" for usage in usages))
    table = Table(*headings, title=title, title_justify="left", box=SIMPLE_HEAD)
    intervals = scored.intervals
    for declared in scores:
        name, better = declared.name, "higher" if declared.direction == "maximize" else "lower"
        values = [scored.report.scores[usage].get(name) for usage in usages]
        ends = [intervals.get(usage, {}).get(name) for usage in usages]
        table.add_row(name, better, *map(_cell, values, ends))
    return [table, *_target_table(scored, scores)]


def _target_table(scored: Scored, scores: Sequence[Score]) -> list[Table]:
    """Lay out each of several targets in the usage that ranks; the scores of subsets are left to --json."""
    usage = shown_usage(scored.draws)
    if not scored.targets or not usage:
        return []
    first, *others = [s.name for s in scores if s is scores[0] or (s.subset == "all" and not s.weights)]
    table = Table(
        Column("target", overflow="fold"),
        first,
        Column("95 %", no_wrap=True),
        *others,
        title=f"each target, {usage}",
        title_justify="left",
        box=SIMPLE_HEAD,
    )
    for target, each in scored.targets.items():
        values = each["scores"][usage]
        main, *cells = (format_score(values.get(name)) for name in (first, *others))
        table.add_row(target, main, format_ends(each["intervals"][usage].get(first)), *cells)
    return [table]


def shown_usage(scored: Collection[str]) -> str:
    """Return one of the usages that are scored, those first that a board ranks by; "" where none is."""
    return next((usage for usage in ("private", "all", "public") if usage in scored), "")


def format_score(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def format_ends(low_high: Sequence[float] | None) -> str:
    return "-" if low_high is None else f"{low_high[0]:.4f} to {low_high[1]:.4f}"


def _cell(value: float | None, low_high: Sequence[float] | None) -> str:
    known = "-" if value is None else f"{value:.6f}"
    return known if low_high is None else f"{known} ({format_ends(low_high)})"
