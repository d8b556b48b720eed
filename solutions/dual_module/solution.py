"""Dual module: histone marks and DNA in two modules, joined by a small perceptron (team WakaWaka)."""

import math
from dataclasses import dataclass, replace

import torch
from timm.layers import Conv2dSame, variance_scaling_
from torch import Tensor, nn
from torch.nn import functional

from .adam import KerasAdam

SMALL = 100_000  # rows; the published recipe was for 600,000


@dataclass(frozen=True)
class Config:
    """Hold the final network and its recipe by default; see README for the source."""

    challenge: str = "histone"
    window: tuple[int, int] = (-5000, 5000)  # around the TSS
    encoding: str = "acgt"
    batch_size: int = 100
    epochs: int = 10
    patience: int | None = None

    modules: str = "both"  # or one of them: "histone", "sequence"
    padding: str = "same"  # "valid": as in the report's figure
    histone_filters: tuple[int, ...] = (50, 50)
    histone_kernels: tuple[int, ...] = (10, 5)
    histone_dilations: tuple[int, ...] = (1, 1)
    histone_pools: tuple[int, ...] = (5, 3)
    sequence_filters: tuple[int, ...] = (132,)
    sequence_kernels: tuple[int, ...] = (6,)
    sequence_pools: tuple[int, ...] = (32,)
    module_dense: int | None = 82  # units of each module's last layer; None: no such layer
    module_dropout: float = 0.5
    joint: tuple[int, ...] = (100,)
    joint_dropout: float = 0.1
    slope: float = 0.05  # of the leaky ReLUs below zero

    stage: str = "joint"  # "modules": pre-train each module with its own output layer
    freeze_modules: bool = False  # train only the joint part, on modules from another run (--init)
    log_targets: bool = False  # learn log(1 + target), for targets that are counts
    start_at_mean: bool = False  # ours: the output starts at the mean of the training targets
    learning_rate: float = 5e-4

    def __post_init__(self) -> None:
        for name, known in (
            ("modules", ("both", "histone", "sequence")),
            ("padding", ("same", "valid")),
            ("stage", ("joint", "modules")),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} {getattr(self, name)!r}; wanted {', '.join(map(repr, known))}")
        for side in ("histone", "sequence"):
            lists = [getattr(self, f"{side}_{name}") for name in ("filters", "kernels", "pools")]
            if len(set(map(len, lists))) > 1:
                raise ValueError(f"{side}_filters, _kernels and _pools {lists}; wanted equal lengths")
        if len(self.histone_dilations) != len(self.histone_kernels):
            raise ValueError(f"histone_dilations {self.histone_dilations}; wanted one for each kernel")
        if self.stage == "modules" and self.freeze_modules:
            raise ValueError("stage='modules' trains what freeze_modules freezes; wanted one of the two")

    @classmethod
    def experiment(cls, number: int) -> "Config":
        """Return the paper's experiment 1 to 6 or 8, the final one; README lists our assumptions."""
        three = {
            "histone_filters": (50, 50, 50), "histone_kernels": (10, 5, 3), "histone_dilations": (1, 3, 2),
            "histone_pools": (5, 3, 3), "module_dense": None, "module_dropout": 0.0,
            "joint": (50, 10), "joint_dropout": 0.5,
        }  # fmt: skip
        second = {"sequence_filters": (132, 32), "sequence_kernels": (6, 9), "sequence_pools": (32, 10)}
        plain = {"module_dense": None, "module_dropout": 0.0, "joint": (100, 50, 10), "joint_dropout": 0.5}
        changes = {
            1: three, 2: three | second, 3: three | {"window": (-2000, 2000)}, 4: plain,
            5: plain | {"freeze_modules": True}, 6: {"module_dense": None, "joint": (100,)}, 8: {},
        }  # fmt: skip
        if number not in changes:
            raise ValueError(f"experiment {number}; wanted one of {', '.join(map(str, changes))}")
        return cls(**changes[number])

    def adapt(self, num_rows: int) -> "Config":
        """Below 100,000 rows: batches of 32, 900 steps or more, an output that starts at the mean."""
        if num_rows >= SMALL:
            return self
        steps_an_epoch = math.ceil(num_rows / 32)
        epochs = max(self.epochs, math.ceil(900 / steps_an_epoch))
        return replace(self, batch_size=32, epochs=min(epochs, 40), start_at_mean=True)

    @classmethod
    def search(cls, trial) -> "Config":
        """Draw what the team tuned by hand: learning rate, dropouts and widths."""
        return cls(
            learning_rate=trial.suggest_float("learning_rate", 1e-4, 3e-3, log=True),
            module_dropout=trial.suggest_float("module_dropout", 0.0, 0.7),
            joint_dropout=trial.suggest_float("joint_dropout", 0.0, 0.5),
            module_dense=trial.suggest_int("module_dense", 16, 128, log=True),
            joint=(trial.suggest_int("joint_units", 16, 256, log=True),),
        )


class Model(nn.Module):
    """Read histone (B, 5, bins) and sequence (B, C, W) into predictions (B, T)."""

    def __init__(self, config, shapes):
        super().__init__()
        self.config = config
        num_targets = len(shapes.targets)
        wanted = [name for name in ("histone", "sequence") if config.modules in (name, "both")]
        for name in wanted:
            if name not in shapes.inputs:
                raise ValueError(f"the challenge has no input {name!r}; set modules to what it has")
        sides = {name: Side(config, name, *shapes.inputs[name]) for name in wanted}
        self.sides = nn.ModuleDict(sides)
        if config.stage == "modules":
            self.heads = nn.ModuleDict({k: nn.Linear(side.size, num_targets) for k, side in sides.items()})
        else:
            size = sum(side.size for side in sides.values())
            self.joint = _joint(config, size)
            self.output = nn.Linear(config.joint[-1] if config.joint else size, num_targets)
        initialize_as_keras(self)
        if config.freeze_modules:
            self.sides.requires_grad_(False)

    def forward(self, sequence: Tensor, histone: Tensor | None = None) -> Tensor:
        inputs = {"sequence": sequence, "histone": histone}
        parts = {name: side(inputs[name]) for name, side in self.sides.items()}  # (B, 82) each
        if self.config.stage == "modules":
            return torch.stack([exact(self.heads[name], x) for name, x in parts.items()])  # (2, B, T)
        return exact(self.output, self.joint(torch.cat(list(parts.values()), dim=1)))  # (B, T)

    def loss(self, outputs: Tensor, batch: dict[str, Tensor]) -> Tensor:
        target = torch.log1p(batch["target"]) if self.config.log_targets else batch["target"]
        if self.config.stage == "modules":
            return sum(functional.mse_loss(each, target) for each in outputs)
        return functional.mse_loss(outputs, target)

    def predict(self, outputs: Tensor) -> Tensor:
        outputs = outputs.mean(0) if self.config.stage == "modules" else outputs
        return torch.expm1(outputs) if self.config.log_targets else outputs

    def optimizer(self, num_steps: int):  # noqa: ARG002 - the learning rate is constant
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return KerasAdam(trained, lr=self.config.learning_rate), None

    def initialize(self, target: Tensor) -> None:
        if self.config.log_targets and not bool((target > -1).all()):
            raise ValueError(
                f"log_targets with a target of {float(target.min()):g}; wanted counts, from 0 on"
            )
        if self.config.start_at_mean:
            mean = (torch.log1p(target) if self.config.log_targets else target).mean(0)
            heads = self.heads.values() if self.config.stage == "modules" else [self.output]
            for head in heads:
                head.bias.copy_(mean)


class Side(nn.Module):
    """One module: convolutions and pools, dropout, and a dense layer."""

    def __init__(self, config: Config, name: str, channels: int, width: int) -> None:
        super().__init__()
        self.convolutions, channels, width = _convolutions(config, name, channels, width)
        self.dropout = nn.Dropout(config.module_dropout)
        self.dense = nn.Linear(channels * width, config.module_dense) if config.module_dense else None
        self.slope = config.slope
        self.size = config.module_dense or channels * width

    def forward(self, x: Tensor) -> Tensor:
        # Channels last: convolutions are twice as fast on a CPU.
        x = x.unsqueeze(2).contiguous(memory_format=torch.channels_last)  # (B, C, 1, W)
        x = self.dropout(self.convolutions(x).flatten(1))
        return x if self.dense is None else functional.leaky_relu(self.dense(x), self.slope)


def _convolutions(config: Config, name: str, channels: int, width: int) -> tuple[nn.Sequential, int, int]:
    """Return the layers of one module, and the channels and width of their output."""
    filters, kernels, pools = (getattr(config, f"{name}_{each}") for each in ("filters", "kernels", "pools"))
    dilations = config.histone_dilations if name == "histone" else (1,) * len(kernels)
    layers: list[nn.Module] = []
    for count, kernel, dilation, pool in zip(filters, kernels, dilations, pools, strict=True):
        convolution = Conv2dSame if config.padding == "same" else nn.Conv2d
        activation = nn.LeakyReLU(config.slope) if name == "histone" else nn.ReLU()
        # Pooling before an increasing activation gives the same numbers at less cost.
        layers += [convolution(channels, count, (1, kernel), dilation=(1, dilation))]
        layers += [nn.MaxPool2d((1, pool)), activation]
        lost = 0 if config.padding == "same" else dilation * (kernel - 1)
        channels, width = count, (width - lost) // pool
    if width < 1:
        raise ValueError(f"{name}: the kernels and pools leave nothing of the input")
    return nn.Sequential(*layers), channels, width


def _joint(config: Config, size: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for units in config.joint:
        layers += [nn.Linear(size, units), nn.LeakyReLU(config.slope), nn.Dropout(config.joint_dropout)]
        size = units
    return nn.Sequential(*layers)


def exact(layer: nn.Linear, x: Tensor) -> Tensor:
    """Apply an output layer in single precision: half precision would round 10.03 to 10."""
    with torch.autocast(x.device.type, enabled=False):
        return layer(x.float())


@torch.no_grad()
def initialize_as_keras(model: nn.Module) -> None:
    """Draw DNA convolutions Glorot normal (truncated), all else Glorot uniform; set biases to zero."""
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            is_dna = name.startswith("sides.sequence.convolutions")
            distribution = "truncated_normal" if is_dna else "uniform"
            variance_scaling_(module.weight, mode="fan_avg", distribution=distribution)
            nn.init.zeros_(module.bias)
