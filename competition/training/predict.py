"""Predict rows with one model, on both strands where the solution trains on both."""

from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from competition.training.batches import Batches, share

MAX_ROWS, MAX_BASES = (
    512,
    2**18,
)  # of one batch; fixed, so that predictions do not depend on the training batch


@torch.no_grad()
def predict(core: Any, batches: Batches, rows: np.ndarray, accelerator: Accelerator) -> np.ndarray:
    """Return predictions (N, T) float32 in target units for these rows, in their order, on every process."""
    core.eval()
    mine = share(rows, accelerator.process_index, accelerator.num_processes)
    size = max(1, min(MAX_ROWS, MAX_BASES // batches.width))
    parts = [
        _predict_batch(core, batches, mine[i : i + size], accelerator) for i in range(0, len(mine), size)
    ]
    if accelerator.num_processes == 1:
        return torch.cat(parts).cpu().numpy()
    return _gather(parts, len(rows), accelerator)


def _predict_batch(core: Any, batches: Batches, rows: np.ndarray, accelerator: Accelerator) -> Tensor:
    strands = (0, 1) if batches.both_strands else (0,)
    total: Any = 0
    for strand in strands:
        inputs = batches.inputs(rows, strand=np.full(len(rows), strand) if strand else None)
        with accelerator.autocast():
            outputs = core(**inputs)
        total = total + (core.predict(outputs) if hasattr(core, "predict") else outputs).float()
    return total / len(strands)


def _gather(parts: list[Tensor], count: int, accelerator: Accelerator) -> np.ndarray:
    """Collect every process's part; shares differ by one row at most, so one row of padding is enough."""
    mine = torch.cat(parts)
    num_processes = accelerator.num_processes
    width = -(-count // num_processes)
    padded = torch.cat([mine, mine.new_zeros(width - len(mine), mine.shape[1])])
    gathered = accelerator.gather(padded).view(num_processes, width, -1).cpu().numpy()
    sizes = [len(share(np.arange(count), process, num_processes)) for process in range(num_processes)]
    return np.concatenate([part[:size] for part, size in zip(gathered, sizes, strict=True)])
