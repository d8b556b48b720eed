"""Predict rows with one model, on both strands where the solution trains on both."""

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from competition.training.batches import Batches, share
from competition.training.network import Network

# Of one batch; fixed, so that predictions depend on neither the training batch nor the number of processes.
MAX_ROWS, MAX_BASES = 512, 2**18


@torch.no_grad()
def predict(network: Network, batches: Batches, rows: np.ndarray, accelerator: Accelerator) -> np.ndarray:
    """Return predictions (N, T) float32 in target units for these rows, in their order, on every process."""
    network.core.eval()
    size = max(1, min(MAX_ROWS, MAX_BASES // batches.width))
    numbers = np.arange(-(-len(rows) // size))
    mine = share(numbers, accelerator.process_index, accelerator.num_processes)
    parts = [_predict_batch(network, batches, rows[i * size : (i + 1) * size], accelerator) for i in mine]
    return np.concatenate(gather_object([part.cpu().numpy() for part in parts]))


def _predict_batch(network: Network, batches: Batches, rows: np.ndarray, accelerator: Accelerator) -> Tensor:
    strands = (0, 1) if batches.both_strands else (0,)
    total = torch.zeros((), device=batches.device)
    for strand in strands:
        inputs = batches.inputs(rows, strand=np.full(len(rows), strand) if strand else None)
        with accelerator.autocast():
            outputs = network.core(**inputs)
        total = total + network.predict(outputs)
    return total / len(strands)
