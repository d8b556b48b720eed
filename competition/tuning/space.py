"""What Config.search draws: a Config from a trial, and the defaults as a point of the same space."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import create_trial


class ConfigTemplate:
    """Stand in for a Config class in its own search: fields that are not drawn keep the adapted default."""

    def __init__(self, defaults: Any) -> None:
        self.defaults = defaults

    def __call__(self, **fields: object) -> object:
        return dataclasses.replace(self.defaults, **fields)

    def __getattr__(self, name: str) -> object:
        return getattr(type(self.defaults), name)


class DefaultTrial:
    """A trial that returns a Config's own values and notes those that could have been drawn."""

    def __init__(self, defaults: Any) -> None:
        self.defaults = defaults
        self.params: dict[str, object] = {}
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        value: float = self._note(name, FloatDistribution(low, high, log=log, step=step), low)
        return value

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        value: int = self._note(name, IntDistribution(low, high, log=log, step=step), low)
        return value

    def suggest_categorical(
        self, name: str, choices: Sequence[CategoricalChoiceType]
    ) -> CategoricalChoiceType:
        value: CategoricalChoiceType = self._note(name, CategoricalDistribution(choices), choices[0])
        return value

    def _note(self, name: str, distribution: BaseDistribution, otherwise: object) -> Any:
        value = getattr(self.defaults, name, None)
        try:
            create_trial(value=0.0, params={name: value}, distributions={name: distribution})
        except (TypeError, ValueError):
            return otherwise
        self.params[name], self.distributions[name] = value, distribution
        return value


def draw(defaults: Any, trial: optuna.trial.BaseTrial | DefaultTrial) -> Any:
    """Return the Config that Config.search draws with a trial; fields that are not drawn keep the default."""
    return type(defaults).search.__func__(ConfigTemplate(defaults), trial)
