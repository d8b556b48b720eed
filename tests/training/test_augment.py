"""What is done to the tokens of a training row is a function of the row, and does what it says."""

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from competition.base.terminal import Tracker
from competition.data.challenge import open_challenge
from competition.data.tokens import PAD
from competition.training.augment import Draws, augmentations, mutate
from competition.training.batches import Batches
from competition.training.fit import Fit
from competition.training.network import Network
from competition.training.predict import predict
from competition.training.recipe import Recipe

ROWS = np.arange(200)
TOKENS = torch.from_numpy(np.random.default_rng(0).integers(0, 4, (200, 300)).astype(np.uint8))


def test_a_recipe_without_augmentations_has_none():
    assert augmentations(Recipe()) == []


def test_mutation_replaces_the_share_of_bases_by_each_of_the_others_alike_and_leaves_the_rest():
    tokens = torch.cat([TOKENS, torch.tensor([4, 9, PAD], dtype=torch.uint8).expand(200, 3)], dim=1)
    mutated = mutate(0.3, tokens, Draws(ROWS, 0, 0))
    assert mutated.dtype == torch.uint8 and torch.equal(mutated[:, 300:], tokens[:, 300:])
    step = (mutated[:, :300].int() - TOKENS.int()) % 4
    shares = np.bincount(step.flatten().numpy(), minlength=4) / step.numel()
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.1, 0.1], atol=0.01)


def test_a_row_is_mutated_alike_in_any_batch_and_otherwise_in_another_epoch():
    whole, some = mutate(0.3, TOKENS, Draws(ROWS, 1, 2)), np.array([7, 3, 7])
    assert torch.equal(mutate(0.3, TOKENS[some], Draws(some, 1, 2)), whole[some])
    assert not torch.equal(mutate(0.3, TOKENS, Draws(ROWS, 1, 3)), whole)


def cut_out(tokens, draws):
    """Replace ten bases of each row by N, where is drawn."""
    place, start = torch.arange(tokens.shape[1]), torch.from_numpy(draws.integers(0, 90, "cut out"))
    return torch.where((place >= start[:, None]) & (place < start[:, None] + 10), 4, tokens)


def test_a_models_own_augmentation_follows_the_recipes_and_is_alike_in_any_batch(toy_challenge, tmp_path):
    opened = open_challenge(toy_challenge(tmp_path / "toy"))
    recipe = Recipe(window=(0, 100), encoding="tokens", shift=(-3, 3))
    batches = Batches(opened.train, opened.declaration, recipe, ["sequence"], torch.device("cpu"))
    before, after, other = (
        batches.training(np.arange(64), seed=1, epoch=epoch, own=own)["sequence"]
        for epoch, own in ((2, ()), (2, [cut_out]), (3, [cut_out]))
    )
    assert ((after == 4).sum(1) == 10).all() and torch.equal(after[after < 4], before[after < 4])
    assert not torch.equal(other == 4, after == 4)
    for rows in np.array_split(np.random.default_rng(0).permutation(64), 5):
        part = batches.training(rows, seed=1, epoch=2, own=[cut_out])["sequence"]
        assert torch.equal(part, after[rows])


class Watching(nn.Module):
    """Note whether a base was to be seen, in training and in prediction; its own augmentation blanks all."""

    def __init__(self):
        super().__init__()
        self.bias, self.seen = nn.Parameter(torch.zeros(1)), {True: set(), False: set()}
        self.augmentations = [lambda tokens, _: torch.full_like(tokens, PAD)]

    def forward(self, sequence):
        self.seen[self.training].add(bool(sequence.any()))
        return self.bias.expand(len(sequence), 1)


def test_a_models_own_augmentation_acts_in_training_alone(toy_challenge, tmp_path):
    opened, rows = open_challenge(toy_challenge(tmp_path / "toy")), np.arange(64)
    recipe, accelerator, network = Recipe(epochs=1), Accelerator(cpu=True), Network(Watching())
    batches = Batches(opened.train, opened.declaration, recipe, ["sequence"], accelerator.device)
    fit = Fit(network, batches, rows, recipe=recipe, folder=tmp_path, seed=0, fold=0, accelerator=accelerator)
    fit.run(Tracker("", 1, shown=False))
    predict(network, batches, rows, accelerator)
    assert network.core.seen == {True: {False}, False: {True}}
