"""Whether a JSON value is of a declared type."""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import pytest

from competition.base.typed import fits


class Score(TypedDict):
    name: str
    weights: NotRequired[dict[str, float]]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, float), (True, bool), (None, str | None), ([True, {}], list[object]),
        ({"a": 1.5}, dict[str, float]), ({"a": 1}, Mapping[str, object]), ([{"name": "mse"}], list[Score]),
        ({"name": "mse", "weights": {"all": 1}, "unit": "bins"}, Score),
    ],
)  # fmt: skip
def test_a_value_fits_its_type(value, kind):
    assert fits(value, kind)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1.5, int), (True, int), (True, float), (1, bool), (1, str | None), ([1, "a"], list[int]),
        ({"a": "b"}, dict[str, float]), ([], dict[str, float]), ({"weights": {}}, Score),
        ({"name": "mse", "weights": [1]}, Score), ([{}], list[Score]), (None, Score),
    ],
)  # fmt: skip
def test_a_value_of_another_type_does_not(value, kind):
    assert not fits(value, kind)
