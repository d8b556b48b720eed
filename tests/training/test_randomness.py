"""Draws are counted: functions of (seed, epoch, row), whatever else is drawn."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from competition.training.randomness import derive, draw_integers, permutation

SEEDS = st.integers(0, 2**32)
ROWS = np.arange(50_000)


def draw(rows=ROWS, *, low=-3, high=3, purpose="shift", seed=0, epoch=0):
    return draw_integers(rows, low=low, high=high, purpose=purpose, seed=seed, epoch=epoch)


def by_hand(row: int, low: int, high: int, seed: int, epoch: int) -> int:
    """SplitMix64 in Python's whole numbers; the upper 32 bits choose a part of the range."""
    mask = 2**64 - 1
    z = ((row + 1) * 0x9E3779B97F4A7C15 + derive("shift", seed, epoch)) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return low + (((z ^ (z >> 31)) >> 32) * (high - low + 1) >> 32)


@given(st.lists(st.integers(0, 2**40), max_size=20), st.integers(-50, 50), st.integers(0, 100), SEEDS, SEEDS)
def test_a_draw_is_what_the_published_generator_gives(rows, low, span, seed, epoch):
    drawn = draw(np.array(rows, dtype=np.int64), low=low, high=low + span, seed=seed, epoch=epoch)
    assert drawn.dtype == np.int64
    assert drawn.tolist() == [by_hand(row, low, low + span, seed, epoch) for row in rows]


@pytest.mark.parametrize(("low", "high"), [(-3, 3), (0, 1), (2, 7), (-1, -1)])
def test_draws_fill_their_range_evenly_with_both_ends(low, high):
    drawn = draw(low=low, high=high)
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == list(range(low, high + 1))
    assert len(values) == 1 or stats.chisquare(counts).pvalue > 1e-6


def test_a_row_is_drawn_alike_in_any_company():
    order = np.random.default_rng(0).permutation(len(ROWS))
    np.testing.assert_array_equal(draw(order), draw()[order])
    np.testing.assert_array_equal(draw(np.array([7, 7])), draw()[[7, 7]])


@pytest.mark.parametrize("other", [{"seed": 1}, {"epoch": 1}, {"purpose": "strand"}, {"purpose": "my own"}])
def test_seed_epoch_and_purpose_give_draws_of_their_own(other):
    table = stats.contingency.crosstab(draw(), draw(**other)).count
    assert stats.chi2_contingency(table).pvalue > 1e-6


def test_neighbouring_rows_are_drawn_independently():
    drawn = draw()
    for distance in (1, 2, 64):
        table = stats.contingency.crosstab(drawn[distance:], drawn[:-distance]).count
        assert stats.chi2_contingency(table).pvalue > 1e-6


@given(st.integers(0, 300), SEEDS, st.integers(0, 1000))
def test_an_epoch_visits_every_row_once_and_a_repeat_in_the_same_order(count, seed, epoch):
    order = permutation(count, seed=seed, epoch=epoch)
    assert sorted(order) == list(range(count))
    np.testing.assert_array_equal(order, permutation(count, seed=seed, epoch=epoch))


def test_orders_differ_between_epochs_and_seeds():
    orders = [permutation(1000, seed=seed, epoch=epoch) for seed in range(3) for epoch in range(3)]
    assert len({order.tobytes() for order in orders}) == 9
    agree = np.mean([np.mean(one == two) for one in orders for two in orders if one is not two])
    assert agree < 0.005  # one place in a thousand is expected


def test_the_first_purposes_keep_their_numbers_and_with_them_the_bytes_of_every_run():
    names = ("order", "shift", "strand", "model", "dropout", "restart", "trial", "mutate")
    for number, name in enumerate(names, 1):
        word = np.random.SeedSequence([number, 3, 4]).generate_state(1, np.uint64)[0]
        assert derive(name, 3, 4) == int(word) >> 1
    order = np.random.default_rng([1, 3, 4]).permutation(20)
    np.testing.assert_array_equal(permutation(20, seed=3, epoch=4), order)


def test_a_purpose_of_any_name_is_drawn_alike_in_another_process():
    code = "from competition.training.randomness import derive; print(derive('Cutout, 5 bp', 3, 4))"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    said = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    assert int(said.stdout) == derive("Cutout, 5 bp", 3, 4) != derive("cutout, 5 bp", 3, 4)


def test_derived_seeds_are_positive_distinct_and_the_same_again():
    numbers = [
        (purpose, i, j) for purpose in ("model", "dropout", "order") for i in range(30) for j in range(30)
    ]
    seeds = [derive(*each) for each in numbers]
    assert seeds == [derive(*each) for each in numbers]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
