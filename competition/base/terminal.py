"""What people see: progress of long work, their command, and numbers in a form that is easily read."""

import os
import shlex
import sys
import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def duration(seconds: float) -> str:
    """Format seconds as 12s, 3m05s or 2h07m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def short(number: float) -> str:
    """Format a count with three digits: 512, 1.72k, 34.2M, 30.7G."""
    for unit in ("", "k", "M"):
        if abs(number) < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g}G"


def command_line() -> str:
    """Return the command as a user would paste it."""
    module = sys.modules["__main__"].__spec__
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    launcher = f"torchrun --nproc_per_node {os.environ.get('LOCAL_WORLD_SIZE')}" if several else "python"
    program = f"{launcher} -m {module.name}" if module else Path(sys.argv[0]).name
    return " ".join([program, *map(shlex.quote, sys.argv[1:])])


LINE_SECONDS = 15.0  # between two lines where there is no terminal


class Tracker:
    """Follow one long piece of work; use as a context manager. Silent where shown is false."""

    def __init__(self, title: str, total: int, *, shown: bool = True, console: Console | None = None) -> None:
        self.title, self.total, self.shown = title, total, shown
        self.console = console or Console()
        self.done, self.note = 0.0, ""
        self.started = self.last_line = time.monotonic()
        self.bar: Progress | None = None
        self.task: TaskID | None = None

    def __enter__(self) -> "Tracker":
        if self.shown and self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
            self.bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self.console)
            self.bar.start()
            self.task = self.bar.add_task(self.title, total=self.total, note="")
        return self

    def advance(self, amount: float, note: str = "") -> None:
        """Count amount more of the total as done; note is shown beside the bar."""
        self.done, self.note = self.done + amount, note
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=self.done, note=note)
        elif self.shown and time.monotonic() - self.last_line >= LINE_SECONDS:
            self.last_line = time.monotonic()
            elapsed = self.last_line - self.started
            left = elapsed / max(self.done, 1) * (self.total - self.done)
            self.console.print(f"{self.title}  {self.done / self.total:4.0%}  {note}  {duration(left)} left")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()
