"""A run reads the whole of what is stored, or says what its window leaves out and what to type."""

import re
from dataclasses import dataclass

import numpy as np
import pytest

from competition.data.challenge import Challenge, open_challenge
from competition.data.declaration import Declaration, InputSequence, Score, Target
from competition.data.tokens import encode
from competition.data.writer import create_challenge
from competition.training.cuts import cuts
from competition.training.recipe import Recipe
from competition.training.solution import coerce, parse_setting, shapes
from competition.training.windows import windows_of


@dataclass(frozen=True)
class Config:
    window: tuple[int, int] = (0, 16)

    def __post_init__(self) -> None:
        if (self.window[1] - self.window[0]) % 8:
            raise ValueError("wanted a multiple of 8")


def random_sequences(lengths, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACGT"), length)) for length in lengths]


def build(folder, train: list[str], test: list[str], **construct) -> Challenge:
    sequences = (InputSequence(**construct),)
    with create_challenge(
        folder, Declaration("toy", (Target("y"),), (Score.of("mse"),), sequences=sequences)
    ) as w:
        w.train.append(*encode(train), target=np.arange(len(train)))
        w.test.append(*encode(test))
    return open_challenge(folder)


def test_without_a_window_all_rows_are_read_whole_though_the_longest_is_a_test_row(tmp_path):
    opened = build(tmp_path / "toy", random_sequences([20] * 30), random_sequences([27, 9], 1), origin=5)
    assert windows_of(Recipe(), opened.declaration) == {"sequence": (-5, 22)}
    assert shapes(Recipe(), opened.declaration).inputs == {"sequence": (4, 27)}
    assert cuts(opened, Recipe(), ["sequence"]) == []


@pytest.mark.parametrize("window", [(-5, 11), (3, 19), (-5, 22), (30, 46)])
def test_rows_that_lose_bases_are_counted_and_what_is_to_be_typed_reads_all(tmp_path, window):
    """Against a comparison of what is in the window with what is stored."""
    lengths = [*range(10, 40), 7, 60]
    opened = build(
        tmp_path / "toy", random_sequences(lengths[:30]), random_sequences(lengths[30:], 1), origin=5
    )
    first, last = window[0] + 5, window[1] + 5
    left, right = [min(n, first) for n in lengths], [min(n, max(0, n - last)) for n in lengths]
    [line] = cuts(opened, Recipe(window=window), ["sequence"])
    assert f": {sum(a + b > 0 for a, b in zip(left, right, strict=True))} of 32 rows lose " in line
    ends = dict(reversed(found) for found in re.findall(r"(\d+) bases? at the (left|right) end", line))
    assert ends == {end: str(max(lost)) for end, lost in (("left", left), ("right", right)) if any(lost)}
    [setting] = re.findall(r"--set (\S+) reads all", line)
    again = Recipe(window=coerce(Recipe, *parse_setting(setting)))
    assert again.window == (-5, 55) and cuts(opened, again, ["sequence"]) == []


def test_the_window_to_be_typed_is_one_that_the_config_takes(tmp_path):
    opened = build(tmp_path / "toy", random_sequences([30] * 30), random_sequences([30], 1))
    [line] = cuts(opened, Config(), ["sequence"])
    assert line.endswith("31 of 31 rows lose 14 bases at the right end; --set window=[0,32] reads all")


def test_flanks_of_the_construct_are_no_loss_declared_or_stored(tmp_path):
    adapters = [f"ACGTT{sequence}GGCA" for sequence in random_sequences([30] * 40)]
    opened = build(tmp_path / "toy", adapters[:30], adapters[30:], left_flank="TTTT", right_flank="CCCC")
    assert cuts(opened, Recipe(window=(5, 35)), ["sequence"]) == []
    assert cuts(opened, Recipe(window=(-3, 43)), ["sequence"]) == []
    [line] = cuts(opened, Recipe(window=(6, 34)), ["sequence"])
    assert "40 of 40 rows lose 1 base at the left end and 1 base at the right end" in line


def test_only_what_a_model_reads_can_be_cut(tmp_path):
    opened = build(tmp_path / "toy", random_sequences([30] * 30), random_sequences([30], 1))
    assert cuts(opened, Recipe(window=(0, 5)), []) == []


def test_of_several_sequences_the_one_that_is_cut_is_named(tmp_path):
    sequences = InputSequence("promoter", origin=10), InputSequence("terminator", window=(0, 5))
    declared = Declaration("toy", (Target("y"),), (Score.of("mse"),), sequences=sequences)
    tokens, lengths = encode(random_sequences([20] * 30))
    with create_challenge(tmp_path / "toy", declared) as writer:
        both = ({each.name: values for each in sequences} for values in (tokens, lengths))
        writer.train.append(*both, target=np.arange(30))
    opened = open_challenge(tmp_path / "toy")
    [line] = cuts(opened, Recipe(), ["promoter", "terminator"])
    assert line.startswith("window [0, 5) of terminator: 30 of 30 rows lose 15 bases at the right end")
    [setting] = re.findall(r"--set '(.+)' reads all", line)
    again = Recipe(window=coerce(Recipe, *parse_setting(setting)))
    assert again.window == {"terminator": (0, 20)} and cuts(opened, again, ["promoter", "terminator"]) == []
