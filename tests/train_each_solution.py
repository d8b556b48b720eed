"""Train every solution for two steps on this many processes; told to by test_solutions, under torchrun.

Prints one line of JSON from the main process: for each solution the rows of every global batch, and whether
all processes hold the same weights at the end.
"""

import hashlib
import json
import sys
from pathlib import Path

import torch
from accelerate.utils import gather_object

from competition.data.challenge import open_challenge
from competition.data.folds import fold_table
from competition.training import cross_validation
from competition.training.batches import Batches
from competition.training.cross_validation import Job, run_fold
from competition.training.processes import make_accelerator
from competition.training.solution import configure, load_solution


def train(folder: Path, challenge: Path, runs: Path) -> dict:
    """Train one fold of a solution, note the rows that every process asks for, and compare the weights."""
    solution, opened = load_solution(folder), open_challenge(challenge)
    accelerator = make_accelerator("cpu", "no")
    config, _ = configure(solution, len(opened.train), settings=["batch_size=6", "epochs=1"])
    seen, weights, real, train = [], [], Batches.training, cross_validation.Fit.run

    def note(self, rows, **settings):
        seen.append(rows.tolist())
        return real(self, rows, **settings)

    def keep(self, tracker):
        counter = train(self, tracker)
        raw = b"".join(value.detach().numpy().tobytes() for value in self.core.parameters())
        weights.append(hashlib.sha256(raw).hexdigest())
        return counter

    Batches.training, cross_validation.Fit.run = note, keep
    if accelerator.is_main_process:
        runs.mkdir()
    accelerator.wait_for_everyone()
    folds = fold_table(opened.train, opened.challenge, 2)
    run_fold(Job(solution, opened, config, folds, runs, 0, accelerator, quiet=True), 0)
    Batches.training, cross_validation.Fit.run = real, train
    everywhere, hashes = gather_object([seen]), gather_object(weights)
    batches = [sorted(row for part in parts for row in part) for parts in zip(*everywhere, strict=True)]
    return {"batches": batches, "weights_agree": len(set(hashes)) == 1}


if __name__ == "__main__":
    torch.set_num_threads(1)
    home, *folders = map(Path, sys.argv[1:])
    processes = make_accelerator("cpu", "no").num_processes
    found = {f.name: train(f, home / f.name, home / f"{f.name}-{processes}") for f in folders}
    if make_accelerator("cpu", "no").is_main_process:
        print("FOUND " + json.dumps(found))
