"""Enformer-lite: Enformer reduced to two million parameters for short promoters (Li, DREAM 2022)."""

import math
from dataclasses import dataclass, replace

import torch
from timm.layers import trunc_normal_tf_
from timm.optim import create_optimizer_v2, list_optimizers
from torch import Tensor, nn

from .attention import NUM_FUNCTIONS, RelativeAttention, TransformerBlock
from .layers import Pool, conv_block, gelu, stem, tower_filters, tower_stage

NUM_STAGES = 4
STRIDE = 2**NUM_STAGES  # bases that become one token of the transformer
SMALL = 1_000_000  # rows; the published recipe was for 6.7 million


@dataclass(frozen=True)
class Config:
    """Hold the published values by default; see README for the source."""

    challenge: str = "promoters"
    window: tuple[int, int] | None = (15, 100)  # of the published construct: the insert and 2 bases
    encoding: str = "acgt"
    shift: tuple[int, int] = (-1, 1)
    reverse_complement: bool = False
    batch_size: int = 10_000
    epochs: int = 846  # 282 passes over rows stored three times, once for each shift
    patience: int | None = 100
    gradient_clip: float | None = None  # 0.2 is declared in the released code and never applied

    channels: int = 192
    heads: int = 8
    key_size: int = 64
    blocks: int = 4
    stem_kernel: int = 5
    tower_kernel: int = 4
    dropout: float = 0.4
    attention_dropout: float = 0.05
    position_dropout: float = 0.01
    final_dropout: float = 0.05
    objective: str = "poisson"  # or "mse", with a linear output: for targets that can be negative

    algorithm: str = "momentum"  # SGD with momentum; or any optimizer of timm: "adamw"
    learning_rate: float = 0.01  # the peak where the schedule is one_cycle
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "constant"  # or "one_cycle"
    start_at_mean: bool = False  # ours: the output starts at the mean of the training targets

    def __post_init__(self) -> None:
        if self.window is not None and (width := self.window[1] - self.window[0]) < 1:
            raise ValueError(f"window {self.window} is {width} bases wide; wanted at least 1")
        if self.channels % 4 or self.channels % (2 * NUM_FUNCTIONS * self.heads):
            raise ValueError(
                f"channels {self.channels} and heads {self.heads}; wanted channels / 4 whole and "
                f"channels / heads a multiple of {2 * NUM_FUNCTIONS}"
            )
        for name, known in (
            ("objective", ("poisson", "mse")),
            ("schedule", ("constant", "one_cycle")),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} {getattr(self, name)!r}; wanted {' or '.join(map(repr, known))}")
        if self.algorithm not in list_optimizers():
            raise ValueError(
                f"algorithm {self.algorithm!r}; wanted an optimizer of timm: 'momentum', 'adamw'"
            )

    def adapt(self, num_rows: int) -> "Config":
        """Below a million rows: the whole sequence, small batches, few epochs, a one-cycle schedule."""
        if num_rows >= SMALL:
            return self
        power = math.floor(math.log2(max(1, num_rows / 96)))
        return replace(
            self,
            window=None,
            batch_size=min(self.batch_size, max(32, 2**power)),
            epochs=min(self.epochs, 20),
            patience=None,
            schedule="one_cycle",
            start_at_mean=True,
        )

    @classmethod
    def search(cls, trial) -> "Config":
        """Draw from around the published values, which the authors chose by hand."""
        channels, heads = trial.suggest_categorical(
            "channels_heads", ["96x4", "192x8", "288x12", "384x8"]
        ).split("x")
        return cls(
            channels=int(channels),
            heads=int(heads),
            blocks=trial.suggest_int("blocks", 1, 6),
            stem_kernel=trial.suggest_int("stem_kernel", 3, 11),
            tower_kernel=trial.suggest_int("tower_kernel", 3, 7),
            dropout=trial.suggest_float("dropout", 0.1, 0.5),
            learning_rate=trial.suggest_float("learning_rate", 3e-3, 0.1, log=True),
        )


class Model(nn.Module):
    """Read one-hot sequence (B, C, W) into predictions (B, T)."""

    def __init__(self, config, shapes):
        super().__init__()
        self.config = config
        channels, width = shapes.inputs["sequence"]
        num_tokens = math.ceil(width / STRIDE)
        self.stem = stem(channels, config.channels // 4, config.stem_kernel)
        self.tower = _tower(config)
        self.transformer = nn.Sequential(*(_block(config, num_tokens) for _ in range(config.blocks)))
        self.final = nn.Sequential(
            conv_block(config.channels, config.channels, 1),
            Pool(stride=2),
            nn.Dropout(config.final_dropout),
            gelu(),
        )
        self.output = nn.Linear(config.channels * math.ceil(num_tokens / 2), len(shapes.targets))
        self.positive = nn.Softplus() if config.objective == "poisson" else nn.Identity()
        initialize_as_released(self)

    def forward(self, sequence: Tensor) -> Tensor:
        x = sequence.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        x = self.tower(self.stem(x))  # (B, D, 1, W / 16)
        x = self.transformer(x.squeeze(2).transpose(1, 2))
        x = self.final(x.transpose(1, 2).unsqueeze(2))  # (B, D, 1, W / 32)
        with torch.autocast(x.device.type, enabled=False):  # half precision would round 10.03 to 10
            return self.positive(self.output(x.float().flatten(1)))

    def loss(self, outputs: Tensor, batch: dict[str, Tensor]) -> Tensor:
        outputs, target = outputs.float(), batch["target"]
        if self.config.objective == "mse":
            return (outputs - target).square().mean()
        return (outputs - target * torch.log(outputs + 1e-7)).mean()

    def optimizer(self, num_steps: int):
        config = self.config
        optimizer = create_optimizer_v2(
            self.parameters(), config.algorithm, lr=config.learning_rate, momentum=config.momentum,
            weight_decay=config.weight_decay,
        )  # fmt: skip
        if config.schedule == "constant":
            return optimizer, None
        return optimizer, torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: one_cycle(step, num_steps)
        )

    def initialize(self, target: Tensor) -> None:
        if self.config.objective == "poisson" and not bool((target >= 0).all()):
            raise ValueError(
                f"the Poisson loss needs targets from 0 on; got {float(target.min()):g}. "
                "Take another challenge, or objective=mse"
            )
        if self.config.start_at_mean:
            mean = target.mean(0)
            self.output.bias.copy_(inverse_softplus(mean) if self.config.objective == "poisson" else mean)


def inverse_softplus(y: Tensor) -> Tensor:
    """Return the x whose softplus is y, or 0.001 where y is less: no x reaches 0."""
    y = y.clamp(min=1e-3)
    return y + torch.log(-torch.expm1(-y))


def one_cycle(step: int, num_steps: int, *, rise: float = 0.2) -> float:
    """Return the share of the peak rate: a linear warm-up over `rise` of the steps, then a cosine to 0."""
    warm_up = max(1, round(rise * num_steps))
    if step < warm_up:
        return (step + 1) / warm_up
    done = min(1.0, (step - warm_up) / max(1, num_steps - warm_up))
    return (1 + math.cos(math.pi * done)) / 2


def _tower(config: Config) -> nn.Sequential:
    channels = config.channels // 4
    stages = []
    for filters in tower_filters(channels, config.channels, num_stages=NUM_STAGES, multiple=32):
        stages.append(tower_stage(channels, filters, config.tower_kernel))
        channels = filters
    return nn.Sequential(*stages)


def _block(config: Config, num_tokens: int) -> TransformerBlock:
    attention = RelativeAttention(
        config.channels, config.heads, config.key_size, num_tokens,
        dropout=config.attention_dropout, position_dropout=config.position_dropout,
    )  # fmt: skip
    return TransformerBlock(config.channels, attention, config.dropout)


@torch.no_grad()
def initialize_as_released(model: Model) -> None:
    """Draw the weights as the released code does; biases are zero.

    Convolutions: Glorot uniform. The stem's first one and dense layers: normal of deviation
    1 / sqrt(fan-in), truncated at two deviations. Attention draws its own.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
        elif isinstance(module, nn.Linear):
            trunc_normal_tf_(module.weight, std=module.in_features**-0.5)
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
            nn.init.zeros_(module.bias)
    first = model.stem[0].weight
    trunc_normal_tf_(first, std=first[0].numel() ** -0.5)
    for module in model.modules():
        if isinstance(module, RelativeAttention):
            module.initialize()
