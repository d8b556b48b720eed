"""ExpResNet: dilated residual units over a very wide window around a gene's TSS."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

# Sizes of the average pools after each unit, by the width of the input; all leave 25 positions.
POOLS = {95_000: (95, 2, 2, 2, 5), 40_000: (40, 2, 2, 2, 5), 10_500: (7, 2, 2, 3, 5)}
SMALL = 5_000  # genes; the published recipe was for 18,000


@dataclass(frozen=True)
class Config:
    """Hold the published values by default; see README for the source and the choices it leaves open."""

    challenge: str = "genes"
    window: tuple[int, int] = (-70_000, 25_000)  # around the TSS; also (-20000, 20000) and (-7000, 3500)
    encoding: str = "iupac"
    shift: tuple[int, int] = (0, 30)
    batch_size: int = 8
    epochs: int = 100
    patience: int | None = 3
    stop_metric: str | None = "pearson"

    channels: tuple[int, ...] = (160, 320, 480, 640, 960)
    kernels: tuple[int, ...] = (5, 3, 3, 3, 3)
    dilations: tuple[int, ...] = (1, 2, 4, 2, 2)
    dilate: str = "both"  # which convolutions of a unit: the "first", the "inner" of kernel 3, "both"
    pools: tuple[int, ...] = ()  # empty: those in POOLS for the window's width
    bias: bool = True  # of the convolutions
    bottleneck: int = 3  # units before the output
    learning_rate: float = 5e-5  # the peak where the schedule is one_cycle
    schedule: str = "constant"  # or "one_cycle"
    start_at_mean: bool = False  # ours: the output starts at the mean of the training targets

    def __post_init__(self) -> None:
        width = self.window[1] - self.window[0]
        if not self.pools and width not in POOLS:
            known = ", ".join(f"{each:,}" for each in POOLS)
            raise ValueError(f"window {self.window} is {width:,} bases wide; wanted {known}, or pools for it")
        sizes = {len(self.channels), len(self.kernels), len(self.dilations), len(self.pool_sizes)}
        if len(sizes) > 1:
            raise ValueError("channels, kernels, dilations and pools; wanted equal lengths")
        if self.final_width < 1:
            raise ValueError(f"pools {self.pool_sizes} leave nothing of {width:,} bases")
        for name, known in (("dilate", ("both", "first", "inner")), ("schedule", ("constant", "one_cycle"))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} {getattr(self, name)!r}; wanted {', '.join(map(repr, known))}")

    @property
    def pool_sizes(self) -> tuple[int, ...]:
        return self.pools or POOLS[self.window[1] - self.window[0]]

    @property
    def final_width(self) -> int:
        """The number of positions after all pools."""
        width = self.window[1] - self.window[0]
        for pool in self.pool_sizes:
            width //= pool
        return width

    def adapt(self, num_rows: int) -> "Config":
        """Below 5,000 genes: the paper's smallest window and minutes instead of days. See README."""
        if num_rows >= SMALL:
            return self
        return replace(
            self, window=(-7_000, 3_500), epochs=3, patience=None, learning_rate=1e-3,
            schedule="one_cycle", start_at_mean=True,
        )  # fmt: skip

    @classmethod
    def search(cls, trial) -> "Config":
        """Draw the learning rate, the width of the network and the window."""
        windows = {10_500: (-7_000, 3_500), 40_000: (-20_000, 20_000)}
        scale = trial.suggest_categorical("scale", [0.25, 0.5, 1.0])
        return cls(
            learning_rate=trial.suggest_float("learning_rate", 1e-5, 2e-3, log=True),
            channels=tuple(int(scale * count) for count in (160, 320, 480, 640, 960)),
            bottleneck=trial.suggest_int("bottleneck", 1, 64, log=True),
            window=windows[trial.suggest_categorical("bases", list(windows))],
        )


class Model(nn.Module):
    """Read sequence (B, 4, W) into predictions (B, T)."""

    def __init__(self, config, shapes):
        super().__init__()
        self.config = config
        count, _ = shapes.inputs["sequence"]
        self.units, self.pool_sizes = nn.ModuleList(), config.pool_sizes
        for channels, kernel, dilation in zip(config.channels, config.kernels, config.dilations, strict=True):
            self.units.append(Unit(config, count, channels, kernel, dilation))
            count = channels
        self.bottleneck = nn.Linear(count * config.final_width, config.bottleneck)
        self.norm = nn.BatchNorm1d(config.bottleneck)
        self.output = nn.Linear(config.bottleneck, len(shapes.targets))

    def forward(self, sequence: Tensor) -> Tensor:
        # Channels last: 1.5 times as fast on a CPU.
        x = sequence.unsqueeze(2).contiguous(memory_format=torch.channels_last)  # (B, 4, 1, W)
        for unit, pool in zip(self.units, self.pool_sizes, strict=True):
            x = functional.avg_pool2d(unit(x), (1, pool))  # (B, 160, 1, 1000) ... (B, 960, 1, 25)
        x = functional.relu(self.norm(self.bottleneck(x.flatten(1))))
        with torch.autocast(x.device.type, enabled=False):  # half precision would round 10.03 to 10
            return self.output(x.float())

    def optimizer(self, num_steps: int):
        rate = self.config.learning_rate
        optimizer = torch.optim.Adam(self.parameters(), lr=rate)
        if self.config.schedule == "constant":
            return optimizer, None
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, num_steps)

    def initialize(self, target: Tensor) -> None:
        if self.config.start_at_mean:
            self.output.bias.copy_(target.mean(0))


class Unit(nn.Module):
    """A convolution, and a pre-activation bottleneck branch of three more, added to its output."""

    def __init__(self, config: Config, inputs: int, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        half = channels // 2

        def convolution(inputs: int, outputs: int, kernel: int, dilation: int = 1) -> nn.Conv2d:
            options = {"dilation": (1, dilation), "padding": "same", "bias": config.bias}
            return nn.Conv2d(inputs, outputs, (1, kernel), **options)

        outer = dilation if config.dilate in ("both", "first") else 1
        inner = dilation if config.dilate in ("both", "inner") else 1
        self.first = convolution(inputs, channels, kernel, outer)
        self.branch = nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(inplace=True), convolution(channels, half, 1),
            nn.BatchNorm2d(half), nn.ReLU(inplace=True), convolution(half, half, 3, inner),
            nn.BatchNorm2d(half), nn.ReLU(inplace=True), convolution(half, channels, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return x + self.branch(x)
