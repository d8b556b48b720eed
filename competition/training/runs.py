"""A run folder: everything needed to repeat, resume or check one run."""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

from accelerate import Accelerator

from competition.base.errors import InputError, resumable
from competition.base.terminal import command_line
from competition.data.challenge import Challenge
from competition.data.folds import FoldTable
from competition.training.origins import Origins
from competition.training.processes import device_name, share_object
from competition.training.recipe import Recipe
from competition.training.record import RECORD, RunRecord, is_finished, require_unfinished
from competition.training.solution import Solution
from competition.training.windows import windows_of

PACKAGES = (
    "torch", "numpy", "pandas", "scipy", "scikit-learn", "accelerate", "optuna", "timm", "safetensors",
)  # fmt: skip


@contextmanager
def open_run(
    runs: Path,
    record: RunRecord,
    solution: Solution,
    accelerator: Accelerator,
    *,
    resume: str | None,
    run_id: str | None,
) -> Iterator[Path]:
    """Start a run in runs/CHALLENGE/SOLUTION/ID, or resume one ("" is the newest unfinished).

    Only one process at a time, and those that it leads, may hold the folder.
    """
    parent, found = runs / record.challenge / record.solution, None
    lock: AbstractContextManager[object] = nullcontext()
    if accelerator.is_main_process:
        found = start(parent, record, solution, run_id) if resume is None else find(parent, record, resume)
        lock = lock_folder(found)
        require_unfinished(found)
    folder = share_object(found)
    assert folder is not None
    with lock, resumable(f"{command_line()} --resume {folder.name}"):
        yield folder


def make_record(
    solution: Solution, opened: Challenge, config: Any, accelerator: Accelerator, *,
    folds: FoldTable, seed: int, warnings: list[str], origins: Origins, ignore_folds: bool,
) -> RunRecord:  # fmt: skip
    """Return what a run is begun with."""
    return RunRecord(
        challenge=opened.declaration.name,
        challenge_digest=opened.digest,
        solution=solution.name,
        source_digest=solution.digest,
        config=asdict(config),
        window=_windows(config, opened),
        seed=seed,
        num_folds=folds.num_folds,
        fold_digest=folds.digest,
        ignore_folds=ignore_folds,
        num_processes=accelerator.num_processes,
        precision=accelerator.mixed_precision,
        device=device_name(accelerator),
        command=command_line(),
        versions=versions(),
        git_commit=git_commit(),
        warnings=warnings,
        **origins.record,
    )


def _windows(config: Any, opened: Challenge) -> dict[str, list[int]]:
    windows = windows_of(Recipe.of(config), opened.declaration)
    return {name: list(window) for name, window in windows.items()}


def start(parent: Path, record: RunRecord, solution: Solution, run_id: str | None) -> Path:
    """Make a new run folder with its record and a copy of the solution's source."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    salt = hashlib.sha256(json.dumps([asdict(record), stamp, os.getpid()], default=str).encode()).hexdigest()
    folder = parent / (run_id or f"{stamp}-{salt[:6]}")
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise InputError(
            f"{folder} exists already; wanted another --run-id, or --resume {folder.name} to continue it"
        ) from None
    for path in solution.sources():
        copy = folder / "source" / path.relative_to(solution.folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    record.write(folder)
    return folder


def find(parent: Path, record: RunRecord, run_id: str) -> Path:
    """Return the folder of a run to resume, after checking that it would be the same run."""
    if not run_id:
        return newest_unfinished(parent, record)
    folder = parent / run_id
    if not (folder / RECORD).exists():
        raise InputError(f"{folder} holds no run; wanted one of: {', '.join(_runs(parent)) or 'none there'}")
    if misfit := RunRecord.read(folder).misfit(record):
        raise InputError(f"{folder} {misfit}; start a new run instead")
    return folder


def newest_unfinished(parent: Path, record: RunRecord) -> Path:
    """Return the folder of the newest run that is not finished and was begun by the same command."""
    misfits = []
    for folder in (parent / run_id for run_id in reversed(_runs(parent))):
        if is_finished(folder):
            continue
        misfit = RunRecord.read(folder).misfit(record)
        if misfit is None:
            return folder
        misfits.append(f"{folder.name} {misfit}")
    others = f" (unfinished there: {'; '.join(misfits)})" if misfits else ""
    raise InputError(
        f"{parent} holds no unfinished run of this command{others}; leave --resume away to start one"
    )


def _runs(parent: Path) -> list[str]:
    found = [path.parent for path in parent.glob(f"*/{RECORD}")]
    return [path.name for path in sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))]


def lock_folder(folder: Path) -> TextIO:
    """Hold a folder until the file is closed or the process ends; InputError where another holds it."""
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise InputError(f"{folder} is being written by another process; wanted it to end first") from None
    return lock


def versions() -> dict[str, str]:
    """Return the versions that the numbers of a run depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def git_commit() -> str | None:
    """Return the commit of the working directory, with a + where files differ from it; None outside git."""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")
