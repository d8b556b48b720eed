"""What the harness reads from a solution's Config; all other fields are the model's own."""

import dataclasses
import math
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from competition.base.errors import InputError, one_of
from competition.data.tokens import planes
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
            if not _is_whole(value := getattr(self, name)) or value < 1:
                raise InputError(f"{name} {value}; wanted a whole number, 1 or more")
        if self.encoding != TOKENS:
            planes(self.encoding)  # raises InputError where there is none of this name
        if self.shift[0] > self.shift[1]:
            raise InputError(f"shift {self.shift}; wanted [low, high] with low <= high")
        if not 0 <= self.mutate <= 1:
            raise InputError(f"mutate {self.mutate}; wanted a share of the bases, from 0 to 1")
        if self.patience is not None and (not _is_whole(self.patience) or self.patience < 0):
            raise InputError(f"patience {self.patience}; wanted a whole number, 0 or more, or none")
        if self.ema is not None and not 0 <= self.ema < 1:
            raise InputError(f"ema {self.ema}; wanted a decay from 0 to below 1, or none")
        if self.gradient_clip is not None and not 0 < self.gradient_clip < math.inf:
            raise InputError(f"gradient_clip {self.gradient_clip}; wanted a norm above 0, or none")
        if self.stop_metric is not None and self.stop_metric not in METRICS:
            raise one_of("stop_metric", self.stop_metric, sorted(METRICS))
        if self.restarts > 1 and self.patience is None:
            raise InputError(
                f"restarts={self.restarts} needs a validation split to choose by; set patience to a number"
            )


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def with_fields(config: Any, names: Iterable[str]) -> Any:
    """Return a Config with the fields of the recipe among names, at their defaults where it lacks them."""
    extended = extend(type(config), names)
    if extended is type(config):
        return config
    return extended(**{each.name: getattr(config, each.name) for each in fields(config) if each.init})


def extend(config_class: Any, names: Iterable[str]) -> Any:
    """Return a Config class with the fields of the recipe among names that it does not define itself."""
    hints, own = typing.get_type_hints(Recipe), [each.name for each in fields(config_class)]
    missing = [each for each in fields(Recipe) if each.name in set(names) and each.name not in own]
    if not missing:
        return config_class
    added = [(each.name, hints[each.name], dataclasses.field(default=each.default)) for each in missing]
    frozen = config_class.__dataclass_params__.frozen
    return dataclasses.make_dataclass(config_class.__name__, added, bases=(config_class,), frozen=frozen)
