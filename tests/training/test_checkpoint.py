"""State goes to disk and comes back as it was; a damaged or foreign file is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from competition.base.errors import InputError
from competition.training.checkpoint import load, load_weights, move, save

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
TENSORS = st.builds(
    lambda shape, dtype: (torch.arange(int(np.prod(shape))) % 7).reshape(shape).to(dtype),
    st.lists(st.integers(0, 3), max_size=3), st.sampled_from(DTYPES),
)  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=6), TENSORS
)
KEYS = st.text("ab/+", max_size=3) | st.integers(0, 3)
TREES = st.recursive(
    LEAVES,
    lambda tree: st.one_of(
        st.dictionaries(KEYS, tree, max_size=3), st.lists(tree, max_size=3), st.tuples(tree, tree)
    ),
    max_leaves=8,
)


def same(one, two) -> bool:
    if type(one) is not type(two):
        return False
    if isinstance(one, torch.Tensor):
        return one.dtype == two.dtype and torch.equal(one, two)
    if isinstance(one, dict):
        return list(one) == list(two) and all(same(one[key], two[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(map(same, one, two))
    return one == two


@given(TREES)
@settings(max_examples=150)
def test_a_tree_survives_a_round_trip(tmp_path_factory, tree):
    path = tmp_path_factory.getbasetemp() / "tree.safetensors"
    save(path, tree, durable=False)
    assert same(load(path), tree)


def test_views_and_tied_weights_survive(tmp_path):
    x = torch.arange(6.0)
    tree = {"all": x, "head": x[:2], "tail": x[2:], "again": x, "turned": x.reshape(2, 3).T}
    save(tmp_path / "x", tree)
    assert same(load(tmp_path / "x"), tree)


def test_an_optimizer_goes_on_where_it_was(tmp_path):
    def step(model, optimizer):
        optimizer.zero_grad()
        model(torch.ones(2, 3)).square().sum().backward()
        optimizer.step()

    model, other = nn.Linear(3, 1), nn.Linear(3, 1)
    one, two = torch.optim.AdamW(model.parameters()), torch.optim.AdamW(other.parameters())
    step(model, one)
    save(tmp_path / "state", {"weights": model.state_dict(), "optimizer": one.state_dict()})
    state = load(tmp_path / "state")
    load_weights(other, state["weights"], "state")
    two.load_state_dict(state["optimizer"])
    step(model, one), step(other, two)
    assert same(dict(model.state_dict()), dict(other.state_dict()))


def test_the_same_tree_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        save(tmp_path / name, {"b": torch.ones(3), "a": [torch.zeros(2), 0.1]})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("thing", [object(), np.float32(1), np.zeros(2), {1, 2}])
def test_what_a_checkpoint_cannot_hold_is_named_and_the_old_file_stays(tmp_path, thing):
    save(tmp_path / "x", {"old": 1})
    with pytest.raises(TypeError, match=f"cannot hold {type(thing).__name__} at a/0"):
        save(tmp_path / "x", {"a": [thing]})
    assert load(tmp_path / "x") == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.safetensors cannot be read as a checkpoint"):
        load(tmp_path / "gone.safetensors")


def test_a_file_cut_off_anywhere_is_refused(tmp_path):
    save(tmp_path / "x", {"w": torch.zeros(4), "n": 3})
    whole = (tmp_path / "x").read_bytes()
    for size in range(len(whole)):
        (tmp_path / "x").write_bytes(whole[:size])
        with pytest.raises(InputError, match="cannot be read as a checkpoint"):
            load(tmp_path / "x")


def test_a_file_with_a_wrong_byte_is_read_or_refused_but_never_crashes(tmp_path):
    save(tmp_path / "x", {"w": torch.zeros(4), "n": 3, "l": [1, {"k": (2.5, None)}]})
    whole, num_refused = (tmp_path / "x").read_bytes(), 0
    for place in range(len(whole)):
        (tmp_path / "x").write_bytes(whole[:place] + bytes([whole[place] ^ 2]) + whole[place + 1 :])
        try:
            load(tmp_path / "x")
        except InputError:
            num_refused += 1
    assert num_refused > 100


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}])
def test_a_safetensors_file_of_another_program_is_refused(tmp_path, metadata):
    save_file({"w": torch.zeros(2)}, tmp_path / "x", metadata=metadata)
    with pytest.raises(InputError, match="cannot be read as a checkpoint: it has no entry 'structure'"):
        load(tmp_path / "x")


def test_weights_of_a_model_come_back_into_another_one():
    torch.manual_seed(0)
    one, two = (nn.Sequential(nn.Conv1d(4, 8, 3), nn.BatchNorm1d(8), nn.Flatten()) for _ in range(2))
    one(torch.randn(5, 4, 9))  # moves the running statistics
    load_weights(two, one.state_dict(), "one")
    x = torch.randn(2, 4, 9)
    assert torch.equal(one.eval()(x), two.eval()(x))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (nn.Linear(3, 2, bias=False), "bias is missing"),
        (nn.Linear(4, 2), r"weight is \(2, 4\), wanted \(2, 3\)"),
        (nn.ParameterDict({"bias": torch.ones(2), "weight": torch.ones(2, 3), "x": torch.ones(1)}), "x is u"),
    ],
)  # fmt: skip
def test_weights_of_another_architecture_are_refused_and_nothing_is_loaded(other, words):
    model = nn.Linear(3, 2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(InputError, match=f"some.safetensors is of another architecture: .*{words}"):
        load_weights(model, other.state_dict(), "some.safetensors")
    assert same(before, dict(model.state_dict()))


def test_many_differences_are_counted_and_three_are_shown():
    model, other = (nn.Sequential(*(nn.Linear(size, size) for _ in range(5))) for size in (2, 3))
    with pytest.raises(InputError, match=r"; .*; .* and 7 more$"):
        load_weights(model, other.state_dict(), "x")


def test_a_tree_is_moved_with_all_its_tensors():
    tree = {"a": [torch.zeros(2), 1], "b": (torch.ones(1), "text", None)}
    moved = move(tree, torch.device("meta"))
    assert (moved["a"][0].device.type, moved["b"][0].device.type) == ("meta", "meta")
    assert (moved["a"][1], moved["b"][1:]) == (1, ("text", None))
