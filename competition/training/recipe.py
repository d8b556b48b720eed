"""What the harness reads from a solution's Config; all other fields are the model's own."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from competition.base.errors import InputError, one_of
from competition.metrics.registry import METRICS

TOKENS = "tokens"  # the encoding that leaves the sequence as it is stored


@dataclass(frozen=True)
class Recipe:
    """How rows become batches and how a model is trained on them."""

    challenge: str = "promoters"
    window: tuple[int, int] | Mapping[str, tuple[int, int]] | None = None  # a pair, or pairs by sequence
    encoding: str = "acgt"
    shift: tuple[int, int] = (0, 0)
    reverse_complement: bool = False
    mutate: float = 0.0
    batch_size: int = 128
    epochs: int = 10
    patience: int | None = None
    ema: float | None = None
    gradient_clip: float | None = None
    accumulate: int = 1
    stop_metric: str | None = None
    restarts: int = 1

    @classmethod
    def of(cls, config: object) -> "Recipe":
        """Return what a Config says of the harness's fields, and the defaults of the others."""
        names = [each.name for each in fields(cls) if hasattr(config, each.name)]
        return cls(**{name: getattr(config, name) for name in names})

    def __post_init__(self) -> None:
        """Raise InputError where no model could be trained with a value."""
        for name in ("batch_size", "epochs", "accumulate", "restarts"):
            if (value := getattr(self, name)) < 1:
                raise InputError(f"{name} {value}; wanted 1 or more")
        if self.shift[0] > self.shift[1]:
            raise InputError(f"shift {self.shift}; wanted [low, high] with low <= high")
        if not 0 <= self.mutate <= 1:
            raise InputError(f"mutate {self.mutate}; wanted a share of the bases, from 0 to 1")
        if self.patience is not None and self.patience < 0:
            raise InputError(f"patience {self.patience}; wanted 0 or more, or none")
        if self.ema is not None and not 0 <= self.ema < 1:
            raise InputError(f"ema {self.ema}; wanted a decay from 0 to below 1, or none")
        if self.gradient_clip is not None and not self.gradient_clip > 0:
            raise InputError(f"gradient_clip {self.gradient_clip}; wanted a norm above 0, or none")
        if self.stop_metric is not None and self.stop_metric not in METRICS:
            raise one_of("stop_metric", self.stop_metric, sorted(METRICS))
        if self.restarts > 1 and self.patience is None:
            raise InputError(
                f"restarts={self.restarts} needs a validation split to choose by; set patience to a number"
            )
