"""Print the findings of an audit: a table with examples for people, JSON for programs."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from rich import box
from rich.console import Console
from rich.table import Table

from competition.auditing.finding import FAIL, PASS, WARN, Finding
from competition.data.challenge import Challenge

COLOURS = {PASS: "green", WARN: "yellow", FAIL: "red"}
PIPED_WIDTH = 160  # where there is no terminal


def print_json(findings: Sequence[Finding]) -> None:
    print(json.dumps([asdict(finding) for finding in findings], indent=2))


def print_table(challenge: Challenge, findings: Sequence[Finding]) -> None:
    """Print a line for every finding, then the examples of those that did not pass."""
    console = Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    num_test = 0 if challenge.test is None else len(challenge.test)
    title = f"{challenge.declaration.name}: {len(challenge.train):,} training rows, {num_test:,} test rows"
    table = Table("", "check", "found", title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for finding in findings:
        table.add_row(finding.status, finding.check, finding.text, style=COLOURS[finding.status])
    console.print(table)
    for finding in findings:
        for example in finding.examples if finding.status != PASS else ():
            console.print(f"{finding.status} {example}", soft_wrap=True)
