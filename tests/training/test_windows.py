"""Each sequence of a row has a window and draws of its own; the strand is the row's."""

import numpy as np
import pytest
import torch

from competition.base.errors import InputError
from competition.data.challenge import open_challenge
from competition.data.declaration import Declaration, InputSequence, Score, Target
from competition.data.tokens import decode, encode, reverse_complement
from competition.data.writer import create_challenge
from competition.training.batches import Batches
from competition.training.recipe import Recipe
from competition.training.solution import shapes
from competition.training.windows import windows_of

ROWS = np.arange(50)
PROMOTER = InputSequence("promoter", origin=10, left_flank="ACG", right_flank="TT", window=(-12, 4))
TERMINATOR = InputSequence("terminator", window=(0, 9))


def random_sequences(seed: int, length: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACGT"), length)) for _ in ROWS]


SEQUENCES = {"sequence": random_sequences(0, 20), "terminator": random_sequences(1, 12)}
SEQUENCES["promoter"] = SEQUENCES["sequence"]


def declare(*sequences: InputSequence) -> Declaration:
    return Declaration("toy", (Target("y"),), (Score.of("mse"),), sequences=sequences)


def serve(folder, *sequences: InputSequence, names=None, **recipe) -> Batches:
    declared = declare(*sequences)
    with create_challenge(folder, declared) as writer:
        encoded = {each.name: encode(SEQUENCES[each.name]) for each in sequences}
        tokens, lengths = ({name: each[i] for name, each in encoded.items()} for i in (0, 1))
        writer.train.append(tokens, lengths, target=ROWS)
    names = [each.name for each in sequences] if names is None else names
    recipe = Recipe(encoding="tokens", **recipe)
    opened = open_challenge(folder)
    return Batches(opened.train, opened.declaration, recipe, names, torch.device("cpu"))


def test_each_sequence_is_shown_in_its_declared_window_or_the_one_that_is_said(tmp_path):
    batches = serve(tmp_path / "toy", PROMOTER, TERMINATOR, window={"terminator": (2, 5)})
    shown = batches.inputs(np.array([7, 3]))
    wanted = [f"CG{SEQUENCES['promoter'][row][:14]}" for row in (7, 3)]
    assert decode(shown["promoter"].numpy()) == wanted
    assert decode(shown["terminator"].numpy()) == [SEQUENCES["terminator"][row][2:5] for row in (7, 3)]
    assert batches.width == 16 + 3


def test_only_what_is_asked_for_is_delivered(tmp_path):
    batches = serve(tmp_path / "toy", PROMOTER, TERMINATOR, names=["promoter"])
    assert list(batches.inputs(ROWS)) == ["promoter"]


def test_a_sequence_without_a_window_is_shown_whole(tmp_path):
    bare = InputSequence("promoter", origin=10), InputSequence("terminator")
    shown = serve(tmp_path / "toy", *bare).inputs(ROWS)
    assert {name: decode(tokens.numpy()) for name, tokens in shown.items()} == {
        name: SEQUENCES[name] for name in ("promoter", "terminator")
    }


def test_shifts_and_mutations_are_drawn_for_each_sequence_and_the_strand_for_the_row(tmp_path):
    """The same bases under two names: what differs is what was drawn."""
    twin = InputSequence("sequence", window=(4, 16))
    other = InputSequence("promoter", window=(4, 16))
    drawn = {"seed": 3, "epoch": 5}

    def shown(folder, **recipe) -> list[torch.Tensor]:
        return list(serve(tmp_path / folder, twin, other, **recipe).training(ROWS, **drawn).values())[:2]

    assert torch.equal(*shown("strand", reverse_complement=True))
    one, two = shown("shift", shift=(-2, 2))
    assert 0 < (one == two).all(1).sum() < 25  # a fifth of the rows is shifted alike by chance
    one, two = shown("mutate", mutate=0.5)
    assert 0.5 < (one != two).double().mean() < 0.8  # two thirds are expected


def test_sequence_is_drawn_for_alike_whatever_stands_beside_it(tmp_path):
    recipe = {"shift": (-3, 3), "reverse_complement": True, "mutate": 0.1}
    alone = serve(tmp_path / "one", InputSequence(window=(4, 16)), **recipe)
    beside = serve(tmp_path / "two", InputSequence(window=(4, 16)), TERMINATOR, **recipe)
    one, two = (each.training(ROWS, seed=3, epoch=5)["sequence"] for each in (alone, beside))
    assert torch.equal(one, two)


def test_the_other_strand_is_shown_of_all_sequences_of_a_row(tmp_path):
    batches, strand = serve(tmp_path / "toy", PROMOTER, TERMINATOR), ROWS % 2
    forward, turned = batches.inputs(ROWS), batches.inputs(ROWS, strand=strand)
    for name in ("promoter", "terminator"):
        wanted = np.where(strand[:, None], reverse_complement(forward[name].numpy()), forward[name])
        np.testing.assert_array_equal(turned[name], wanted)


def test_a_lone_sequence_has_the_window_of_the_config_else_its_own():
    declared = declare(InputSequence(window=(3, 9)))
    assert windows_of(Recipe(window=(0, 5)), declared) == {"sequence": (0, 5)}
    assert windows_of(Recipe(), declared) == {"sequence": (3, 9)}
    assert windows_of(Recipe(window={"sequence": (1, 2)}), declared) == {"sequence": (1, 2)}


def test_a_model_is_told_the_shape_of_every_sequence():
    assert shapes(Recipe(window={"terminator": (0, 5)}), declare(PROMOTER, TERMINATOR)).inputs == {
        "promoter": (4, 16), "terminator": (4, 5),
    }  # fmt: skip


def test_a_window_of_no_sequence_in_particular_is_refused_where_there_are_several():
    with pytest.raises(InputError, match=r"window \(0, 5\) does not say of which sequence; .* promoter or"):
        shapes(Recipe(window=(0, 5)), declare(PROMOTER, TERMINATOR))
    with pytest.raises(InputError, match="unknown sequence in window 'terminater'; did you mean"):
        shapes(Recipe(window={"terminater": (0, 5)}), declare(PROMOTER, TERMINATOR))


def test_rows_that_were_moved_to_the_device_are_shown_as_those_on_disk(tmp_path):
    batches = serve(tmp_path / "toy", PROMOTER, TERMINATOR, shift=(-3, 3))
    rows = np.array([7, 3, 7, 49])
    on_disk = batches.training(rows, seed=0, epoch=0)
    for window in batches.windows.values():
        window.make_resident()
    resident = batches.training(rows, seed=0, epoch=0)
    assert all(torch.equal(on_disk[name], resident[name]) for name in on_disk)
