"""CRMnet: a U-Net of squeeze-excite convolutions around a transformer (Ding et al., 2023)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from .adam import KerasAdam
from .layers import (
    DecoderStage,
    EncoderStage,
    PositionCode,
    Transformer,
    TransformerBlock,
    initialize_as_keras,
    unit,
)

NUM_STAGES = 4
STRIDE = 2 ** (NUM_STAGES - 1)  # bases that become one token of the transformer
# How adapt reduces the recipe, measured on 3,000 random yeast promoters; see README.
MANY_ROWS = 1_000_000  # with as many or more, the recipe is as published
STEPS_PER_EPOCH, MIN_STEPS, MIN_BATCH = 100, 165, 32
FEW_ROWS_WARM_UP, FEW_ROWS_INITIAL_RATE = 0.1, 3e-4  # hundreds of steps are too few for a long, slow warm-up


@dataclass(frozen=True)
class Config:
    """Hold the published values by default; see README for the source."""

    challenge: str = "promoters"
    window: tuple[int, int] = (0, 112)
    encoding: str = "acgtn"
    shift: tuple[int, int] = (0, 0)
    reverse_complement: bool = False
    batch_size: int = 1024
    epochs: int = 50
    patience: int | None = 10
    gradient_clip: float | None = None

    filters: int = 128  # of stages 1, 2 and the decoder; stages 3, 4 and the tokens have twice as many
    kernel: int = 11
    squeeze_excite: bool = True
    transformer: bool = True
    blocks: int = 8
    heads: int = 12
    key_dim: int = 256
    position: str = "multiply"  # the released code; "add" is what the paper says; "none"
    encoder_dropout: float = 0.1
    block_dropout: float = 0.1
    head: tuple[int, ...] = (256, 128, 64, 32)
    head_dropout: tuple[float, ...] = (0.2, 0.2, 0.1, 0.1)

    initial_learning_rate: float = 1e-4  # where the warm-up starts
    learning_rate: float = 1e-3  # the peak
    final_learning_rate: float = 1e-4  # where the cosine ends
    warm_up: float = 0.2  # of all steps: 10 of 50 epochs
    huber_delta: float = 1.0
    norm_momentum: float = 0.01  # share of a batch in the running statistics
    start_at_mean: bool = True  # ours: the output bias starts at the mean of the training targets

    def __post_init__(self) -> None:
        width = self.window[1] - self.window[0]
        if width < STRIDE or width % STRIDE:
            raise ValueError(f"window {self.window} is {width} bases wide; wanted a multiple of {STRIDE}")
        if self.position not in ("multiply", "add", "none"):
            raise ValueError(f"position {self.position!r}; wanted 'multiply', 'add' or 'none'")
        if self.blocks < 2 or self.blocks % 2:
            raise ValueError(f"blocks {self.blocks}; wanted an even number: a first, pairs and a last")
        if self.kernel < 3 or self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel}; wanted an odd number from 3 on")
        if len(self.head) != len(self.head_dropout):
            raise ValueError(f"head {self.head} and head_dropout {self.head_dropout}; wanted equal lengths")

    def adapt(self, num_rows: int) -> "Config":
        """Reduce the recipe, never the network, for fewer rows than MANY_ROWS.

        Batch size: the power of two for about STEPS_PER_EPOCH steps per epoch, 32 to 1024. Epochs: 4 at 4,000
        rows, twice as many for eight times the rows, at least MIN_STEPS steps in all. No validation split.
        Running statistics average over a tenth of all steps. The warm-up takes the first tenth of the steps.
        """
        if num_rows >= MANY_ROWS:
            return self
        batch_size = 2 ** round(math.log2(max(1, num_rows / STEPS_PER_EPOCH)))
        batch_size = min(max(batch_size, MIN_BATCH), self.batch_size)
        steps_per_epoch = math.ceil(num_rows / batch_size)
        epochs = round(4 * (num_rows / 4_000) ** (1 / 3))
        epochs = min(max(epochs, math.ceil(MIN_STEPS / steps_per_epoch)), self.epochs)
        momentum = max(self.norm_momentum, 10 / (epochs * steps_per_epoch))
        return replace(
            self, batch_size=batch_size, epochs=epochs, patience=None, norm_momentum=momentum,
            warm_up=FEW_ROWS_WARM_UP, initial_learning_rate=FEW_ROWS_INITIAL_RATE,
        )  # fmt: skip

    @classmethod
    def search(cls, trial) -> "Config":
        """Draw what the authors say they tuned: learning rate, warm-up, batch size, sizes and dropouts."""
        first, second = trial.suggest_float("dropout", 0.05, 0.3), trial.suggest_float("late_dropout", 0, 0.2)
        return cls(
            learning_rate=trial.suggest_float("learning_rate", 2e-4, 4e-3, log=True),
            warm_up=trial.suggest_float("warm_up", 0.05, 0.4),
            batch_size=trial.suggest_categorical("batch_size", [32, 64, 128, 256, 512, 1024]),
            filters=trial.suggest_categorical("filters", [64, 128, 192]),
            heads=trial.suggest_categorical("heads", [4, 8, 12]),
            key_dim=trial.suggest_categorical("key_dim", [64, 128, 256]),
            blocks=trial.suggest_categorical("blocks", [2, 4, 6, 8]),
            encoder_dropout=trial.suggest_float("encoder_dropout", 0, 0.3),
            block_dropout=trial.suggest_float("block_dropout", 0, 0.3),
            head_dropout=(first, first, second, second),
        )


class Model(nn.Module):
    """Read one-hot sequence (B, C, W) into predictions (B, T)."""

    def __init__(self, config, shapes):
        super().__init__()
        self.config = config
        channels, width = shapes.inputs["sequence"]
        assert width % STRIDE == 0
        f = config.filters
        sizes = (f, f, 2 * f, 2 * f)
        self.encoder = nn.ModuleList(_encoder(config, channels, sizes))
        self.core = _core(config, 2 * f, width) if config.transformer else nn.Identity()
        self.decoder = nn.ModuleList(_decoder(config, sizes))
        self.tail = _tail(config)
        self.head = _head(config, f // 4 * width)
        self.output = nn.Linear(config.head[-1], len(shapes.targets))
        initialize_as_keras(self)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = config.norm_momentum

    def forward(self, sequence: Tensor) -> Tensor:
        x, skips = sequence.unsqueeze(2).contiguous(memory_format=torch.channels_last), []
        for stage in self.encoder:
            x, skip = stage(x)  # (B, f, W / 2), ..., the last (B, 2 f, W / 8)
            skips.append(skip)
        x = self.core(x.squeeze(2).transpose(1, 2)).transpose(1, 2).unsqueeze(2)
        for stage, skip in zip(self.decoder, skips[-2::-1], strict=True):
            x = stage(x, skip)  # (B, f, W / 4), (B, f, W / 2), (B, f, W)
        x = self.tail(x)  # (B, f / 4, W)
        x = self.head(x.squeeze(2).transpose(1, 2).flatten(1))
        with torch.autocast(x.device.type, enabled=False):  # half precision would round 10.03 to 10
            return self.output(x.to(self.output.weight.dtype))

    def loss(self, outputs: Tensor, batch: dict[str, Tensor]) -> Tensor:
        return functional.huber_loss(outputs, batch["target"], delta=self.config.huber_delta)

    def optimizer(self, num_steps: int):
        config = self.config
        optimizer = KerasAdam(self.parameters(), lr=config.learning_rate)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate(config, step, num_steps) / config.learning_rate
        )
        return optimizer, scheduler

    def initialize(self, target: Tensor) -> None:
        if self.config.start_at_mean:
            self.output.bias.copy_(target.mean(0))


def rate(config: Config, step: int, num_steps: int) -> float:
    """Return the learning rate of a step: a linear warm-up to the peak, then a cosine to the final rate."""
    initial, peak, final = config.initial_learning_rate, config.learning_rate, config.final_learning_rate
    rise = round(config.warm_up * num_steps)
    if step < rise:
        return initial + (peak - initial) * step / rise
    done = min(1.0, (step - rise) / max(1, num_steps - rise))
    return final + (peak - final) * (1 + math.cos(math.pi * done)) / 2


def _encoder(config: Config, channels: int, sizes: tuple[int, ...]) -> Iterator[EncoderStage]:
    for number, filters in enumerate(sizes):
        yield EncoderStage(
            channels, filters, config.kernel, squeeze=config.squeeze_excite,
            dropout=config.encoder_dropout, halve=number + 1 < NUM_STAGES,
        )  # fmt: skip
        channels = filters


def _core(config: Config, dim: int, width: int) -> nn.Sequential:
    blocks = [
        TransformerBlock(dim, config.heads, config.key_dim, dim // 2, config.block_dropout)
        for _ in range(config.blocks)
    ]
    return nn.Sequential(PositionCode(config.position, width // STRIDE, dim, width), Transformer(blocks))


def _decoder(config: Config, sizes: tuple[int, ...]) -> Iterator[DecoderStage]:
    channels, filters = sizes[-1], sizes[0]
    for skip in sizes[-2::-1]:
        yield DecoderStage(channels, skip, filters, config.kernel, squeeze=config.squeeze_excite)
        channels = filters


def _tail(config: Config) -> nn.Sequential:
    f = config.filters
    return nn.Sequential(
        *(
            unit(channels, filters, config.kernel, squeeze=config.squeeze_excite, norm=False)
            for channels, filters in ((f, f), (f, f // 2), (f // 2, f // 4))
        )
    )


def _head(config: Config, size: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for hidden, dropout in zip(config.head, config.head_dropout, strict=True):
        layers += [nn.Linear(size, hidden), nn.LeakyReLU(0.1), nn.Dropout(dropout)]
        size = hidden
    return nn.Sequential(*layers)
