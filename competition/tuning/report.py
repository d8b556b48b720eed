"""The table that a search ends with."""

import optuna
from optuna.trial import FrozenTrial
from rich import box
from rich.console import Console
from rich.table import Table

from competition.training.solution import describe
from competition.tuning.study import count_states, is_defaults, place_of, ranked

SHOWN_TRIALS = 5


def show_trials(study: optuna.Study) -> None:
    """Print the best trials and the defaults, and how many trials ended how."""
    trials = ranked(study)
    defaults = next(filter(is_defaults, trials))
    shown = trials[:SHOWN_TRIALS]
    console = Console()
    shown = shown if defaults in shown else [*shown, defaults]
    console.print(trial_table(shown, [place_of(study, trial.number) for trial in shown]))
    counts = count_states(study)
    console.print(", ".join(f"{count} {state}" for state, count in counts.items()), highlight=False)


def trial_table(trials: list[FrozenTrial], places: list[int]) -> Table:
    num_folds = len(trials[0].user_attrs["fold_scores"])
    folds = [f"fold {fold}" for fold in range(num_folds)]
    table = Table("trial", "score", *folds, "changes", box=box.SIMPLE_HEAD)
    for place, trial in zip(places, trials, strict=True):
        changes = trial.user_attrs["changes"]
        scores = [f"{score:.4f}" for score in (trial.value, *trial.user_attrs["fold_scores"])]
        table.add_row(str(place), *scores, describe(changes) if changes else "defaults")
    return table
