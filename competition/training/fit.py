"""Train one model on some rows: any number of processes, any precision, killed and resumed at any step.

Nothing here depends on what was drawn before: the order of rows, their shifts and strands and the dropout
of a step are functions of (seed, fold, epoch, row or step), so the state is the weights, the optimizer and a
counter.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

import accelerate.utils
import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from competition.base.errors import InputError
from competition.base.terminal import Tracker
from competition.training import checkpoint, randomness
from competition.training.average import Average
from competition.training.batch_norm import synchronise
from competition.training.batches import Batches, cut, share
from competition.training.checkpoint import WEIGHTS
from competition.training.network import Network
from competition.training.predict import predict
from competition.training.recipe import Recipe
from competition.training.validation import Validation

STATE, LAST = "state.safetensors", "last.safetensors"
NOTE_SECONDS = 1.0  # how often the loss is read back from the device


@dataclass
class Counter:
    """How far a training is; with the weights and the optimizer this is its whole state."""

    step: int = 0
    loss_sum: float = 0.0  # over the steps of the running epoch
    best_score: float | None = None
    best_epoch: int = -1
    stopped: bool = False
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


class Fit:
    """The training of one model on the rows of one fold."""

    def __init__(
        self,
        network: Network,
        batches: Batches,
        rows: np.ndarray,
        *,
        recipe: Recipe,
        folder: Path,
        seed: int,
        fold: int,
        accelerator: Accelerator,
        validation: Validation | None = None,
        save_seconds: float = 60.0,
    ) -> None:
        self.batches, self.rows, self.folder = batches, rows, folder
        self.seed, self.fold, self.accelerator = seed, fold, accelerator
        self.validation, self.save_seconds = validation, save_seconds
        self.network, self.recipe = network, recipe
        self.cuts = list(cut(len(rows), recipe.batch_size))
        require_rows(self.cuts, accelerator.num_processes)
        self.num_steps = len(self.cuts) * recipe.epochs
        self.counter, self.text = Counter(), ""
        if accelerator.num_processes > 1:
            synchronise(network.core)
        self.core = network.core.to(accelerator.device)
        optimizer, self.scheduler = network.optimizer(self.num_steps)
        # The scheduler stays unprepared: Accelerate would step it once for every process.
        self.model, self.optimizer = accelerator.prepare(self.core, optimizer)
        self.average = Average(self.core, recipe.ema) if recipe.ema else None
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=accelerator.device)

    def run(self, tracker: Tracker) -> Counter:
        """Train to the end, from the last saved state where there is one; write weights.safetensors."""
        self._resume()
        tracker.advance(self.rows_done())
        started = self.saved = self.noted = time.monotonic()
        before = self.counter.seconds
        for epoch, rows in self._remaining():
            self._step(rows, epoch)
            self.counter.step += 1
            now = time.monotonic()
            self.counter.seconds = before + now - started
            tracker.advance(len(rows), self._note(epoch, now))
            if self.counter.step % len(self.cuts) == 0:
                self._end_epoch(epoch)
            if now - self.saved >= self.save_seconds:
                self._save()
        self._finish()
        return self.counter

    def _remaining(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (epoch, rows of the global batch) from the current step on."""
        while self.counter.step < self.num_steps and not self.counter.stopped:
            epoch, first = divmod(self.counter.step, len(self.cuts))
            seed = randomness.derive("order", self.seed, self.fold)
            order = self.rows[randomness.permutation(len(self.rows), seed=seed, epoch=epoch)]
            for part in self.cuts[first:]:
                yield epoch, order[part]

    def rows_done(self) -> int:
        epochs, number = divmod(self.counter.step, len(self.cuts))
        return epochs * len(self.rows) + (self.cuts[number].start if number else 0)

    def _step(self, rows: np.ndarray, epoch: int) -> None:
        """Take one optimizer step on a global batch, of which this process computes its share."""
        process, num_processes = self.accelerator.process_index, self.accelerator.num_processes
        seed = randomness.derive("dropout", self.seed, self.fold, self.counter.step, process)
        torch.manual_seed(seed)
        self.model.train()
        # Of the global batch: batch norm sees the same rows together on any number of processes.
        parts = np.array_split(rows, min(self.recipe.accumulate, len(rows) // num_processes))
        for number, part in enumerate(parts):
            last = number + 1 == len(parts)
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                mine = share(part, process, num_processes)
                own = self.network.augmentations
                batch = self.batches.training(mine, seed=self.seed, epoch=epoch, own=own)
                # Weighted so that the mean over parts and processes is the mean over the global batch.
                loss = self._loss(batch) * (len(mine) * num_processes / len(rows))
                self.accelerator.backward(loss)
            self.loss_sum += self.accelerator.reduce(loss.detach().double(), reduction="mean")
        if self.recipe.gradient_clip is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.gradient_clip)
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update(self.counter.step)

    def _loss(self, batch: dict[str, Tensor]) -> Tensor:
        outputs = self.model(**{name: batch[name] for name in self.batches.names})
        return self.network.loss(outputs, batch)

    def _note(self, epoch: int, now: float) -> str:
        if now - self.noted >= NOTE_SECONDS:
            self.noted = now
            done = self.counter.step % len(self.cuts) or len(self.cuts)
            loss = self._finite(float(self.loss_sum) / done)
            rate = self.rows_done() / max(self.counter.seconds, 1e-9)
            self.text = (
                f"epoch {epoch + 1}/{self.num_steps // len(self.cuts)}  loss {loss:.4g}  {rate:,.0f} rows/s"
            )
        return self.text

    def _finite(self, loss: float) -> float:
        if not math.isfinite(loss):
            raise InputError(
                f"fold {self.fold}: the loss is {loss} at step {self.counter.step}; wanted a finite one. "
                "Try a lower learning rate, --set gradient_clip=1, or --precision no"
            )
        return loss

    def _end_epoch(self, epoch: int) -> None:
        entry = {"epoch": epoch + 1, "loss": self._finite(float(self.loss_sum) / len(self.cuts))}
        self.loss_sum.zero_()
        if self.validation is not None:
            entry["validation_score"] = self._validate(epoch)
        self.counter.history.append(entry)

    def _validate(self, epoch: int) -> float:
        """Score the validation rows, store the best weights and stop when patience is at its end."""
        assert self.validation is not None and self.batches.store.target is not None
        with self._averaged():
            predictions = predict(self.network, self.batches, self.validation.rows, self.accelerator)
            score = self.validation.score(
                np.asarray(self.batches.store.target[self.validation.rows]), predictions
            )
            best = self.counter.best_score
            if best is None or self.validation.rank(score) > self.validation.rank(best):
                self.counter.best_score, self.counter.best_epoch = score, epoch
                self._write(WEIGHTS)
        patience = self.recipe.patience
        self.counter.stopped = patience is not None and epoch - self.counter.best_epoch >= patience
        return score

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Put the averaged weights, and the main process's buffers, in place for a while."""
        with nullcontext() if self.average is None else self.average.in_place():
            for buffer in self.core.buffers():
                buffer.copy_(accelerate.utils.broadcast(buffer))
            yield

    def _write(self, name: str) -> None:
        if self.accelerator.is_main_process:
            checkpoint.save(self.folder / name, self.core.state_dict())

    def _save(self) -> None:
        """Save all that the next step depends on."""
        self.saved = time.monotonic()
        self.counter.loss_sum = float(self.loss_sum)
        if self.accelerator.is_main_process:
            state = {
                "weights": self.core.state_dict(),
                "ema": self.average.state if self.average is not None else None,
                "optimizer": self.optimizer.state_dict(),
                "scheduler": self.scheduler.state_dict() if self.scheduler is not None else None,
                "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler else None,
                "counter": asdict(self.counter),
            }
            checkpoint.save(self.folder / STATE, state, durable=False)

    def _resume(self) -> None:
        path = self.folder / STATE
        if not path.exists():
            return
        state = checkpoint.load(path)
        checkpoint.load_weights(self.core, state["weights"], str(path))
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        if self.accelerator.scaler:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.state = checkpoint.move(state["ema"], self.accelerator.device)
        self.counter = Counter(**state["counter"])
        self.loss_sum.fill_(self.counter.loss_sum)

    def _finish(self) -> None:
        with self._averaged():
            self._write(LAST if self.validation is not None else WEIGHTS)
        if self.accelerator.is_main_process:
            (self.folder / STATE).unlink(missing_ok=True)


def require_rows(cuts: list[slice], num_processes: int) -> None:
    """Raise InputError where a global batch has fewer rows than there are processes to share it."""
    fewest = min((part.stop - part.start for part in cuts), default=0)
    if fewest < num_processes:
        raise InputError(
            f"a batch of {fewest} rows for {num_processes} processes; wanted one row for each at least: "
            "--set batch_size=N with a larger N, or fewer processes"
        )
