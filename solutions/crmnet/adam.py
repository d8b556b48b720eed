"""Adam as Keras computes it."""

import math
from collections.abc import Iterable

import torch
from torch import nn

EPSILON = 1e-7


class KerasAdam(torch.optim.Adam):
    """Adam that adds epsilon to the root of the second moment before the bias correction.

    Keras steps by lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon). PyTorch corrects sqrt(v) first, so
    it does the same with an epsilon of 1e-7 / sqrt(1 - b2^t): 3e-6 in the first step, above many gradients.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float) -> None:
        # Counted in the group: saved with the state, and not read back from the device in every step.
        super().__init__([{"params": list(parameters), "num_steps": 0}], lr=lr, fused=True)

    def step(self, closure=None):
        for group in self.param_groups:
            group["num_steps"] += 1
            group["eps"] = EPSILON / math.sqrt(1 - group["betas"][1] ** group["num_steps"])
        return super().step(closure)
