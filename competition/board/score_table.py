"""The scores of one submission as a table."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from competition.data.declaration import Score
from competition.judging.scoring import Scored


def score_table(scored: Scored, scores: Sequence[Score], title: str) -> Table:
    """Lay out scores and their intervals as a table: a line a score, a column a usage."""
    usages = list(scored.report.scores)
    headings = ("score", "better", *(f"{usage}, 95 %" for usage in usages))
    table = Table(*headings, title=title, title_justify="left", box=SIMPLE_HEAD)
    for declared in scores:
        better = "higher" if declared.direction == "maximize" else "lower"
        table.add_row(declared.name, better, *(_cell(scored, usage, declared.name) for usage in usages))
    return table


def _cell(scored: Scored, usage: str, name: str) -> str:
    value = scored.report.scores[usage].get(name)
    interval = scored.intervals.get(usage, {}).get(name)
    known = "-" if value is None else f"{value:.6f}"
    return known if interval is None else f"{known} ({interval[0]:.4f} to {interval[1]:.4f})"
