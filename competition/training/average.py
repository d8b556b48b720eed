"""An exponential moving average of a model's weights."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


class Average:
    """Average the parameters and buffers of a module over its steps; the decay rises from 0.1 to its limit.

    timm's ModelEmaV3 gives the same bits, but moves a weight that has two names twice a step, and copies the
    module, which torch refuses where a weight is computed from others (torch.nn.utils.weight_norm).
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.state = copy_state(module)

    def update(self, step: int) -> None:
        """Move the average towards the weights after a step, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in self.module.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, 1 - decay)
            else:
                self.state[name].copy_(value)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the module its averaged weights for a while."""
        own = copy_state(self.module)
        self.module.load_state_dict(self.state)
        yield
        self.module.load_state_dict(own)


def copy_state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}
