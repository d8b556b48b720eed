"""What would fail after hours of training, found before it."""

from pathlib import Path

from competition.base.files import require_writable
from competition.data.challenge import Challenge, require_varying_targets
from competition.judging.answers import has_answers, read_answers
from competition.training.solution import Solution


def require_ready(challenge: Challenge, solution: Solution, runs: Path, submissions: Path) -> None:
    """Raise InputError where a run could not be written, trained or scored."""
    require_writable(runs / challenge.declaration.name / solution.name, "--runs")
    require_writable(submissions / challenge.declaration.name, "--submissions")
    require_varying_targets(challenge)
    if has_answers(challenge):
        read_answers(challenge)
