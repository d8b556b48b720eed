"""Tune a solution: search its own space by cross-validation, and keep the winner only if unseen rows agree.

One part more than there are folds is set aside. The search never sees it: trials are cross-validated on the
other parts, the defaults first. At the end the winner and the defaults are trained on all of those and
predict the part set aside. Where the winner's lead there is larger than the noise of the rows it is written
to tuned.toml in the solution's folder, for this challenge. The same command goes on where it was killed.
"""

import argparse
import dataclasses
import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

from competition.base.errors import InputError, exit_status, resumable


def main(argv: list[str] | None = None) -> int:
    """Run the command line; a user's mistake is one line on standard error and status 2."""
    return exit_status(tune, parse(argv))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m competition.tune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("solution", type=Path, help="a folder with a solution.py whose Config has a search")
    add("--trials", type=int, default=20, help="trials in all, the defaults included (default: %(default)s)")
    add("--challenge", help="default: what the solution is built for")
    add("--folds", type=int, default=4, help="folds of the search (default: %(default)s)")
    add("--seed", type=int, default=0, help="seed of every random draw (default: %(default)s)")
    add("--set", action="append", default=[], metavar="NAME=VALUE",
        help="hold a Config field at a value in every trial; repeatable")  # fmt: skip
    add("--storage", help="an Optuna storage URL (default: a journal in the runs folder)")
    add("--device", choices=["auto", "cpu"], default="auto")
    add("--precision", choices=["auto", "no", "bf16", "fp16"], default="auto")
    add("--data", type=Path, default=Path("data"), help="folder of challenges (default: %(default)s)")
    add("--runs", type=Path, default=Path("runs"), help="folder of runs (default: %(default)s)")
    return parser.parse_args(argv)


class Bench(NamedTuple):
    """What every trial shares."""

    solution: Any
    opened: Any
    folds: Any  # one more than the search has; the last is set aside
    fixed: dict[str, Any]
    folder: Path
    seed: int
    accelerator: Any

    @property
    def aside(self) -> int:
        return self.folds.num_folds - 1


def tune(arguments: argparse.Namespace) -> None:
    """Search, judge the winner on rows that the search did not see, and write what has proved itself."""
    from contextlib import closing, nullcontext

    from competition.training.runs import command_line, lock_folder

    bench, base = set_up(arguments)
    alone = bench.accelerator.is_main_process and arguments.storage is None
    if bench.accelerator.is_main_process:
        bench.folder.mkdir(parents=True, exist_ok=True)
    with resumable(command_line()), closing(lock_folder(bench.folder)) if alone else nullcontext():
        search(bench, base, arguments)


def search(bench: Bench, base: Any, arguments: argparse.Namespace) -> None:
    """Run the trials that are still to be run, show them and judge the best."""
    from competition.training.processes import share_object
    from competition.tuning import study as studies

    study = open_study(bench, base, arguments) if bench.accelerator.is_main_process else None
    if not share_object(study is not None and studies.has_defaults(study)):
        scores = score_folds(bench, base, None)
        if study is not None:
            studies.add_defaults(study, base, scores)
            print(f"defaults   {mean(scores):.4f}", flush=True)
    while True:
        trial, changes = next_trial(study, base, bench, arguments.trials)
        if (changes := share_object(changes)) is None:
            break
        run_trial(study, trial, changes, bench, base)
    winner = share_object(show_trials(study) if study is not None else None)
    if winner is not None:
        judge(bench, base, winner, study)


def set_up(arguments: argparse.Namespace) -> tuple[Bench, Any]:
    """Load the solution and the challenge, and return the bench and the default Config."""
    from competition.data.find import find_challenge
    from competition.data.folds import fold_table
    from competition.data.leaks import leaks
    from competition.training.processes import make_accelerator
    from competition.training.solution import coerce, configure, load_solution, parse_setting, setting

    solution = load_solution(arguments.solution)
    if not hasattr(solution.Config, "search"):
        raise InputError(f"{solution.name}: Config has no search(trial), so there is nothing to tune")
    if arguments.trials < 1:
        raise InputError(f"--trials {arguments.trials}: wanted at least 1")
    accelerator = make_accelerator(arguments.device, arguments.precision)
    with accelerator.main_process_first():
        name = arguments.challenge or setting(solution.Config(), "challenge")
        opened = find_challenge(name, arguments.data)._replace(test=None)  # tuning has no use for test rows
        folds = fold_table(
            opened.train, opened.declaration, arguments.folds + 1, cache=opened.folder / "cache"
        )
    for warning in leaks(opened, folds) if accelerator.is_main_process else ():
        print(f"warning    {warning}")
    num_rows = len(opened.train) * (arguments.folds - 1) // (arguments.folds + 1)
    base, _ = configure(solution, num_rows, settings=arguments.set, tuned_for=None)
    fixed = {k: coerce(solution.Config, k, v) for k, v in map(parse_setting, arguments.set)}
    parent = arguments.runs / opened.declaration.name / solution.name
    bench = Bench(solution, opened, folds, fixed, parent, arguments.seed, accelerator)
    return bench._replace(folder=parent / f"tune-{identify(bench, base)[1]}"), base


def identify(bench: Bench, base: Any) -> tuple[dict[str, Any], str]:
    """Return what the scores of a study depend on, and a short name for it."""
    identity = {
        "solution": bench.solution.name,
        "challenge": bench.opened.declaration.name,
        "challenge_digest": bench.opened.digest,
        "source_digest": bench.solution.digest,
        "fold_digest": bench.folds.digest,
        "base": dataclasses.asdict(base),
        "fixed": bench.fixed,
        "seed": bench.seed,
        "precision": bench.accelerator.mixed_precision,
    }
    return identity, hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]


def open_study(bench: Bench, base: Any, arguments: argparse.Namespace) -> Any:
    """Open the study, new or as it was left."""
    from competition.tuning import study as studies

    identity, _ = identify(bench, base)
    bench.folder.joinpath("study.json").write_text(json.dumps(identity, indent=1) + "\n")
    maximize = bench.opened.declaration.primary.direction == "maximize"
    study = studies.open_study(bench.folder, identity, maximize=maximize, storage=arguments.storage)
    if arguments.storage is None and (killed := studies.restart_killed(study)):
        print(f"killed before: {killed}, to be run again")
    print(f"study      {study.study_name} in {bench.folder}", flush=True)
    return study


def next_trial(study: Any, base: Any, bench: Bench, wanted: int) -> tuple[Any, dict[str, Any] | None]:
    """Ask for the next trial and what it changes; None when all were had, or not on the main process."""
    if study is None:
        return None, None
    import optuna

    from competition.tuning import study as studies

    while len(studies.finished(study)) < wanted:
        trial = studies.ask(study, bench.seed)
        try:
            config = dataclasses.replace(studies.draw(base, trial), **bench.fixed)
        except optuna.TrialPruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        except (TypeError, ValueError) as error:
            fail(study, trial, str(error))
        else:
            before = dataclasses.asdict(base)
            changes = {k: v for k, v in dataclasses.asdict(config).items() if v != before[k]}
            trial.set_user_attr("changes", json.loads(json.dumps(changes)))
            return trial, changes
    return None, None


def run_trial(study: Any, trial: Any, changes: dict[str, Any], bench: Bench, base: Any) -> None:
    """Cross-validate one trial and tell the study how it went."""
    import optuna
    import torch

    try:
        scores = score_folds(bench, dataclasses.replace(base, **changes), trial)
    except optuna.TrialPruned:
        if study is not None:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            print(f"trial {trial.number:<4} stopped early", flush=True)
    except (InputError, torch.OutOfMemoryError) as error:
        if study is not None:
            fail(study, trial, str(error))
    else:
        if study is not None:
            trial.set_user_attr("fold_scores", scores)
            study.tell(trial, mean(scores))
            print(f"trial {trial.number:<4} {mean(scores):.4f}  best {study.best_value:.4f}", flush=True)


def fail(study: Any, trial: Any, reason: str) -> None:
    import optuna

    trial.set_user_attr("reason", reason)
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    print(f"trial {trial.number:<4} failed: {reason}", flush=True)


def score_folds(bench: Bench, config: Any, trial: Any) -> list[float]:
    """Return the score of each fold of the search; a trial that looks bad on the first ones is pruned."""
    import optuna

    from competition.training.processes import share_object

    scores: list[float] = []
    for fold in range(bench.aside):
        scores.append(fit_and_score(bench, config, fold))
        if trial is not None:
            trial.report(mean(scores), fold)
        if share_object(trial is not None and fold + 1 < bench.aside and trial.should_prune()):
            raise optuna.TrialPruned
    return scores


def fit_and_score(bench: Bench, config: Any, fold: int) -> float:
    """Train on the search's other folds, predict this one, and score it by the challenge's first metric."""
    predictions = fit(bench, config, fold)
    metric = primary_metric(bench)
    return float(metric.function(bench.opened.train.target[bench.folds.fold == fold], predictions))


def primary_metric(bench: Bench) -> Any:
    from competition.metrics.metrics import METRICS

    return METRICS[bench.opened.declaration.primary.metric]


def fit(bench: Bench, config: Any, fold: int) -> Any:
    """Return predictions (N, T) of a fold by a model of this Config that does not see the part set aside."""
    import numpy as np

    from competition.training.cross_validation import Job, run_fold

    fields = json.dumps(dataclasses.asdict(config), sort_keys=True, default=str)
    folder = bench.folder / hashlib.sha256(fields.encode()).hexdigest()[:12]
    excluded = bench.folds.fold == bench.aside if fold != bench.aside else None
    job = Job(
        bench.solution, bench.opened, config, bench.folds, folder, bench.seed, bench.accelerator,
        quiet=True, excluded=excluded,
    )  # fmt: skip
    if bench.accelerator.is_main_process:
        folder.mkdir(parents=True, exist_ok=True)
    bench.accelerator.wait_for_everyone()
    if not (folder / f"fold{fold}" / "fold.json").exists():
        run_fold(job, fold)
    bench.accelerator.wait_for_everyone()
    if bench.accelerator.is_main_process:
        for path in (folder / f"fold{fold}").rglob("*.safetensors"):
            path.unlink()  # a thousand trials would fill the disk
        for path in (folder / f"fold{fold}").glob("restart*"):
            shutil.rmtree(path)
    return np.load(folder / f"fold{fold}" / "oof.npy")


def mean(scores: list[float]) -> float:
    return sum(scores) / len(scores)


def show_trials(study: Any) -> dict[str, Any] | None:
    """Print the best trials and how many ended how; return what the winner changes, None for the defaults."""
    from optuna.trial import TrialState
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from competition.training.solution import describe
    from competition.tuning import study as studies

    sign = -1 if study.direction.name == "MAXIMIZE" else 1
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    best = sorted(complete, key=lambda trial: sign * trial.value)
    default = next(trial for trial in complete if trial.user_attrs.get("defaults"))
    table = Table("trial", "score", *(f"fold {n}" for n in range(len(default.user_attrs["fold_scores"]))),
                  "changes", box=box.SIMPLE_HEAD)  # fmt: skip
    for trial in [*best[:5], *([] if default in best[:5] else [default])]:
        changes = describe(trial.user_attrs["changes"])
        folds = [f"{score:.4f}" for score in trial.user_attrs["fold_scores"]]
        table.add_row(str(trial.number), f"{trial.value:.4f}", *folds, changes)
    console = Console()
    console.print(table)
    counts = studies.count_states(study)
    console.print(", ".join(f"{count} {word}" for word, count in counts.items()), highlight=False)
    if best[0] is default:
        console.print("no trial is better than the defaults; tuned.toml is left as it is")
        return None
    changes = best[0].user_attrs["changes"]
    return {name: tuple(v) if isinstance(v, list) else v for name, v in changes.items()}


def judge(bench: Bench, base: Any, changes: dict[str, Any], study: Any) -> None:
    """Train defaults and winner on all parts of the search, compare them on the part set aside, and write."""
    import numpy as np

    from competition.judging.bootstrap import paired_gain
    from competition.training.tuned import write_tuned

    winner = dataclasses.replace(base, **changes)
    first, second = (fit(bench, config, bench.aside) for config in (base, winner))
    if study is None:
        return
    rows = bench.folds.fold == bench.aside
    score = bench.opened.declaration.primary
    gain = paired_gain(
        score.metric, np.asarray(bench.opened.train.target)[rows], first, second,
        higher_is_better=score.direction == "maximize", group=bench.folds.key[rows], seed=bench.seed,
    )  # fmt: skip
    text = f"{gain.value:+.4f} {score.name}, 95 % of resampled groups {gain.low:+.4f} to {gain.high:+.4f}"
    print(f"on {rows.sum():,} rows that the search did not see: {text}")
    if not gain.sure:
        print("the lead is within noise; tuned.toml is left as it is")
        return
    note = f"{study.study_name}, {len(study.trials)} trials; gain on rows set aside {text}"
    path = write_tuned(bench.solution.folder, bench.opened.declaration.name, changes, note)
    print(f"written to {path}; --published leaves it out")


if __name__ == "__main__":
    sys.exit(main())
