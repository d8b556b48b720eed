"""Xpresso: convolutions over a wide promoter, and mRNA half-life features (Agarwal & Shendure, 2020)."""

import math
from dataclasses import dataclass, replace

import torch
from timm.layers import Conv2dSame, variance_scaling_
from timm.optim import create_optimizer_v2, list_optimizers
from torch import Tensor, nn
from torch.nn import functional

LEAK = 0.1  # slope of the leaky ReLU below zero
SMALL = 8_000  # genes; the published recipe was for 16,000 to 20,000


@dataclass(frozen=True)
class Config:
    """Hold the published values by default; see README for the source. Layers are listed in order."""

    challenge: str = "genes"
    window: tuple[int, int] = (-7000, 3500)  # around the TSS
    encoding: str = "acgt"
    shift: tuple[int, int] = (0, 0)
    reverse_complement: bool = False
    batch_size: int = 128
    epochs: int = 100
    patience: int | None = 7
    stop_metric: str | None = "mse"  # what early stopping watches, whatever the challenge scores
    restarts: int = 10  # networks per fold; the best one on the validation split is used

    filters: tuple[int, ...] = (128, 32)
    kernels: tuple[int, ...] = (6, 9)
    dilations: tuple[int, ...] = (1, 1)
    pools: tuple[int, ...] = (30, 10)
    dense: tuple[int, ...] = (64, 2)  # the last is the bottleneck
    dense_dropout: tuple[float, ...] = (0.000992864149624538, 0.015461061523035332)
    half_life: bool = True  # False: the promoter alone, even where the challenge has half_life
    leaky: bool = False  # ours: leaky ReLUs, so that the bottleneck cannot die; see README
    standardise: bool = True  # learn z-scores of the target, like those in the paper's files

    algorithm: str = "momentum"  # SGD with momentum; any optimizer of timm: "adam", as in the earlier script
    learning_rate: float = 5e-4
    momentum: float = 0.9

    def __post_init__(self) -> None:
        width = self.window[1] - self.window[0]
        if len({len(self.filters), len(self.kernels), len(self.dilations), len(self.pools)}) > 1:
            raise ValueError(
                f"filters {self.filters}, kernels {self.kernels}, dilations {self.dilations} and "
                f"pools {self.pools}; wanted equal lengths"
            )
        if len(self.dense) != len(self.dense_dropout):
            raise ValueError(f"dense {self.dense}, dense_dropout {self.dense_dropout}; wanted equal lengths")
        if pooled_length(width, self.pools) < 1:
            raise ValueError(
                f"window {self.window} is {width} bases wide; pools {self.pools} leave nothing of it"
            )
        if self.algorithm not in list_optimizers():
            raise ValueError(f"algorithm {self.algorithm!r}; wanted an optimizer of timm: 'momentum', 'adam'")

    @classmethod
    def by_hand(cls) -> "Config":
        """Return the authors' best network without a search: 3 kb, two equal convolutions, no bottleneck."""
        return cls(
            window=(-1500, 1500), restarts=1, batch_size=64, filters=(64, 64), kernels=(5, 5),
            dilations=(1, 1), pools=(10, 20), dense=(100,), dense_dropout=(0.5,), algorithm="adam",
            learning_rate=1e-3, patience=5,
        )  # fmt: skip

    @classmethod
    def search(cls, trial) -> "Config":
        """Draw from the authors' search space, without the shapes whose pools leave no position."""
        start = -trial.suggest_int("left", 0, 10_000, step=500)
        stop = trial.suggest_int("right", 0, 10_000, step=500)
        if stop == start:
            stop = start + 500
        length, layers = stop - start, []
        for number in range(1, trial.suggest_int("convolutions", 1, 4) + 1):
            if length < 5:
                break
            layer = (
                2 ** trial.suggest_int(f"log2_filters{number}", 4, 7),
                trial.suggest_int(f"kernel{number}", 1, 10),
                trial.suggest_int(f"dilation{number}", 1, 4),
                trial.suggest_int(f"pool{number}", 5, min(100, length // 5 * 5), step=5),
            )
            layers.append(layer)
            length //= layer[-1]
        filters, kernels, dilations, pools = zip(*layers, strict=True)
        numbers = range(1, trial.suggest_int("dense", 1, 2) + 1)
        return cls(
            window=(start, stop), filters=filters, kernels=kernels, dilations=dilations, pools=pools,
            batch_size=2 ** trial.suggest_int("log2_batch_size", 5, 7),
            dense=tuple(2 ** trial.suggest_int(f"log2_dense{number}", 1, 8) for number in numbers),
            dense_dropout=tuple(trial.suggest_float(f"dense_dropout{number}", 0, 1) for number in numbers),
        )  # fmt: skip

    def adapt(self, num_rows: int) -> "Config":
        """Take leaky units; below 8,000 genes also small batches, Adam and few epochs. See README."""
        if num_rows >= SMALL:
            return replace(self, leaky=True)
        power = math.floor(math.log2(max(1, num_rows / 64)))
        return replace(
            self,
            leaky=True,
            batch_size=min(self.batch_size, max(32, 2**power)),
            epochs=min(self.epochs, 15),
            patience=None,
            restarts=1,
            algorithm="adam",
            learning_rate=1e-3,
        )


class Model(nn.Module):
    """Read sequence (B, C, W), and half_life (B, F) where the challenge has it, into predictions (B, T)."""

    def __init__(self, config, shapes):
        super().__init__()
        self.config = config
        channels, width = shapes.inputs["sequence"]
        (self.num_features,) = shapes.inputs.get("half_life", (0,)) if config.half_life else (0,)
        self.convolutions = _convolutions(config, channels)
        size = config.filters[-1] * pooled_length(width, config.pools) + self.num_features
        self.dense = _dense(config, size)
        self.output = nn.Linear(config.dense[-1], len(shapes.targets))
        self.register_buffer("mean", torch.zeros(len(shapes.targets)))
        self.register_buffer("deviation", torch.ones(len(shapes.targets)))
        initialize_as_keras(self)

    def forward(self, sequence: Tensor, half_life: Tensor | None = None) -> Tensor:
        x = sequence.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        x = self.convolutions(x).flatten(1)  # (B, 32, 1, W / 300) -> (B, 1120)
        if self.num_features:
            assert half_life is not None
            x = torch.cat([x, half_life], dim=1)
        x = self.dense(x)
        with torch.autocast(x.device.type, enabled=False):  # half precision would round 1.003 to 1
            return self.output(x.float())

    def loss(self, outputs: Tensor, batch: dict[str, Tensor]) -> Tensor:
        return functional.mse_loss(outputs.float(), (batch["target"] - self.mean) / self.deviation)

    def predict(self, outputs: Tensor) -> Tensor:
        return outputs * self.deviation + self.mean

    def optimizer(self, num_steps: int):  # noqa: ARG002 - the learning rate is constant
        config = self.config
        optimizer = create_optimizer_v2(
            self.parameters(), config.algorithm, lr=config.learning_rate, momentum=config.momentum
        )
        return optimizer, None

    def initialize(self, target: Tensor) -> None:
        if self.config.standardise:
            deviation = target.std(0, unbiased=False)
            self.mean.copy_(target.mean(0))
            self.deviation.copy_(torch.where(deviation > 0, deviation, 1.0))


def pooled_length(width: int, pools: tuple[int, ...]) -> int:
    """Return the number of positions of a window after pooling; an incomplete last pool is dropped."""
    for pool in pools:
        width //= pool
    return width


def _activation(config: Config) -> nn.Module:
    return nn.LeakyReLU(LEAK) if config.leaky else nn.ReLU()


def _convolutions(config: Config, channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for filters, kernel, dilation, pool in zip(
        config.filters, config.kernels, config.dilations, config.pools, strict=True
    ):
        # Pooling first gives the same numbers, as both ReLUs increase, at a thirtieth of the activations.
        layers += [
            Conv2dSame(channels, filters, (1, kernel), dilation=(1, dilation)),
            nn.MaxPool2d((1, pool)),
            _activation(config),
        ]
        channels = filters
    return nn.Sequential(*layers)


def _dense(config: Config, size: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for hidden, dropout in zip(config.dense, config.dense_dropout, strict=True):
        layers += [nn.Linear(size, hidden), _activation(config), nn.Dropout(dropout)]
        size = hidden
    return nn.Sequential(*layers)


@torch.no_grad()
def initialize_as_keras(model: nn.Module) -> None:
    """Draw convolutions Glorot normal (truncated), dense layers Glorot uniform; set biases to zero."""
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            distribution = "uniform" if isinstance(module, nn.Linear) else "truncated_normal"
            variance_scaling_(module.weight, mode="fan_avg", distribution=distribution)
            nn.init.zeros_(module.bias)
