"""A Model is shown its training rows once, before it is trained."""

import numpy as np
import pytest
import torch

from competition.data.challenge import open_challenge
from competition.training.batches import Batches
from competition.training.network import Network
from competition.training.recipe import Recipe


class Shown:
    """Keep what initialize was shown."""

    def initialize(self, inputs, target):
        self.inputs, self.target = inputs, target


@pytest.mark.parametrize("most", [7, 1000])
def test_initialize_is_shown_evenly_spaced_training_rows_without_augmentation(
    toy_challenge, tmp_path, monkeypatch, most
):
    monkeypatch.setattr("competition.training.network.INITIAL_ROWS", most)
    opened = open_challenge(toy_challenge(tmp_path / "toy", inputs={"age": (1,)}))
    recipe, names = Recipe(shift=(-3, 3), reverse_complement=True), ["sequence", "age"]
    batches = Batches(opened.train, opened.declaration, recipe, names, torch.device("cpu"))
    core, rows = Shown(), np.arange(1, 63, 2)
    Network(core).initialize(batches, rows)
    shown = rows[::5] if most == 7 else rows
    np.testing.assert_array_equal(core.target, opened.train.target[shown])
    assert all(torch.equal(core.inputs[name], batches.inputs(shown)[name]) for name in names)
