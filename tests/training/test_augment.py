"""What is done to the tokens of a training row is a function of the row, and does what it says."""

import numpy as np
import torch

from competition.data.tokens import PAD
from competition.training.augment import Draws, augmentations, mutate
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
