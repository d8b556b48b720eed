"""Train every solution for a few steps on this many processes; told to by test_solutions, under torchrun.

Prints one line of JSON from the main process: for each solution the rows of every global batch, and whether
all processes hold the same weights at the end. <home>/<name>-<processes>.npz tells how far training moved
the parameters and the buffers, and what the model predicted for two rows before.

Without dropout, whose draws depend on the process, and by plain gradient descent: Adam makes a step of the
rounding of a gradient that is zero.
"""

import dataclasses
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch
from accelerate.utils import gather_object

from competition.base.errors import end_process
from competition.data.challenge import open_challenge
from competition.data.folds import fold_table
from competition.training.batches import Batches
from competition.training.cross_validation import run_fold
from competition.training.fit import Fit
from competition.training.job import Job
from competition.training.predict import predict
from competition.training.processes import make_accelerator
from competition.training.solution import configure, load_solution


def train(folder: Path, challenge: Path, runs: Path) -> dict:
    """Train one fold of a solution, note the rows that every process asks for, and compare the weights."""
    solution, opened = load_solution(folder), open_challenge(challenge)
    solution.Model.optimizer = lambda core, _: (torch.optim.SGD(core.parameters(), lr=1e-3), None)
    accelerator = make_accelerator("cpu", "no")
    config, _ = configure(
        solution, len(opened.train), settings=["batch_size=7", "epochs=1", *no_dropout(solution)]
    )
    seen, weights, real, train = [], [], Batches.training, Fit.run

    def note(self, rows, **settings):
        seen.append(rows.tolist())
        return real(self, rows, **settings)

    def keep(self, tracker):
        before, two = state(self.core), predict(self.network, self.batches, self.rows[:2], accelerator)
        counter = train(self, tracker)
        after = state(self.core)
        weights.append(hashlib.sha256(b"".join(map(bytes, after.values()))).hexdigest())
        if accelerator.is_main_process:
            moved = {name: value - before[name] for name, value in after.items()}
            np.savez(runs.with_suffix(".npz"), two_predictions=two, **moved)
        return counter

    Batches.training, Fit.run = note, keep
    if accelerator.is_main_process:
        runs.mkdir()
    accelerator.wait_for_everyone()
    folds = fold_table(opened.train, opened.declaration, 2)
    run_fold(Job(solution, opened, config, folds, runs, 0, accelerator, quiet=True), 0)
    Batches.training, Fit.run = real, train
    everywhere, hashes = gather_object([seen]), gather_object(weights)
    batches = [sorted(row for part in parts for row in part) for parts in zip(*everywhere, strict=True)]
    return {"batches": batches, "weights_agree": len(set(hashes)) == 1}


def no_dropout(solution) -> list[str]:
    """Return the settings that switch off every kind of dropout a Config has."""
    default = solution.Config()
    names = [field.name for field in dataclasses.fields(default) if "dropout" in field.name]
    zeros = [np.zeros_like(getattr(default, name), dtype=float).tolist() for name in names]
    return [f"{name}={zero}" for name, zero in zip(names, zeros, strict=True)]


def state(core) -> dict[str, np.ndarray]:
    """Return all parameters of a model as one vector, and all its buffers as another."""
    values = {"parameters": core.parameters(), "buffers": core.buffers()}
    return {
        name: np.concatenate([np.zeros(0), *map(flat, each)], dtype=np.float32)
        for name, each in values.items()
    }


def flat(value: torch.Tensor) -> np.ndarray:
    return value.detach().numpy().ravel()


if __name__ == "__main__":
    torch.set_num_threads(1)
    home, *folders = map(Path, sys.argv[1:])
    processes = make_accelerator("cpu", "no").num_processes
    found = {f.name: train(f, home / f.name, home / f"{f.name}-{processes}") for f in folders}
    accelerator = make_accelerator("cpu", "no")
    if accelerator.is_main_process:
        print("FOUND " + json.dumps(found))
    accelerator.end_training()
    end_process(0)
