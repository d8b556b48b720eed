"""The authors' Keras networks, as .h5 files, compute in ours what they compute there."""

import importlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from competition.data.declaration import Shapes
from competition.training.solution import load_solution

h5py = pytest.importorskip("h5py")
SOLUTION = load_solution(Path(__file__).parents[2] / "solutions" / "xpresso")
Config, Model = SOLUTION.Config, SOLUTION.Model
keras_weights = importlib.import_module(f"{Model.__module__.rpartition('.')[0]}.keras_weights")

WIDTH, POOLS, KERNELS, FILTERS, DENSE = 127, (4, 3), (6, 9), (7, 5), (8, 6)
SMALL = {"window": (0, WIDTH), "pools": POOLS, "kernels": KERNELS, "filters": FILTERS, "dense": DENSE}


def build(num_features: int = 6, **changes):
    config = Config(**{**SMALL, **changes})
    return Model(config, Shapes({"sequence": (4, WIDTH), "half_life": (num_features,)}, ("y",))).eval()


def draw_arrays(num_features: int = 6) -> dict[str, list[np.ndarray]]:
    """Return kernel and bias of every layer that has them, in Keras's layouts."""
    size = WIDTH // POOLS[0] // POOLS[1] * FILTERS[-1] + num_features
    kernels = [(k, *sizes) for k, sizes in zip(KERNELS, pairwise((4, *FILTERS)), strict=True)]
    kernels += list(pairwise((size, *DENSE, 1)))
    names, rng = ("conv1d_3", "conv1d_4", "dense_4", "dense_5", "dense_6"), np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
    return {name: [draw(*shape), draw(shape[-1])] for name, shape in zip(names, kernels, strict=True)}


def write(path: Path, arrays: dict[str, list[np.ndarray]], *, whole: bool) -> Path:
    """Write a file as Keras 2 does: a whole model or its weights, and the layers that have none."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole else file
        layers = ["promoter", *arrays, "halflife"]
        root.attrs["layer_names"] = np.array([name.encode() for name in layers])
        for name in sorted(layers):
            group, parts = root.create_group(name), ("kernel:0", "bias:0") if name in arrays else ()
            group.attrs["weight_names"] = np.array([f"{name}/{part}".encode() for part in parts])
            for part, array in zip(parts, arrays.get(name, ()), strict=True):
                group.create_dataset(f"{name}/{part}", data=array)
    return path


def same_convolution(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve (L, in) by (K, in, out) as Keras does: the smaller part of the padding is on the left."""
    taps = len(kernel)
    padded = np.pad(x, (((taps - 1) // 2, taps // 2), (0, 0)))
    return np.stack([np.einsum("ki,kio->o", padded[i : i + taps], kernel) for i in range(len(x))])


def forward(arrays: dict[str, list[np.ndarray]], x: np.ndarray, half_life: np.ndarray) -> np.ndarray:
    """Compute the network of one row, x (L, 4), in plain numpy and in the order of Keras."""
    *convolutions, first, second, last = arrays.values()
    for (kernel, bias), pool in zip(convolutions, POOLS, strict=True):
        x = np.maximum(same_convolution(x, kernel) + bias, 0)
        x = x[: len(x) // pool * pool].reshape(-1, pool, x.shape[1]).max(1)
    hidden = np.concatenate([x.reshape(-1), half_life])
    for kernel, bias in (first, second):
        hidden = np.maximum(hidden @ kernel + bias, 0)
    return hidden @ last[0] + last[1]


def load(path: Path, model) -> dict[str, torch.Tensor]:
    with h5py.File(path) as file:
        return keras_weights.from_keras(file, model)


@pytest.mark.parametrize("whole", [True, False])
@torch.no_grad()
def test_a_keras_file_computes_here_what_it_computes_in_plain_numpy(tmp_path, whole):
    arrays, model, rng = draw_arrays(), build(), np.random.default_rng(1)
    model.initialize(torch.tensor([[3.0], [7.0]]))  # a scale of another training must not stay
    model.load_state_dict(load(write(tmp_path / "network.h5", arrays, whole=whole), model))
    x, half_life = np.eye(4)[rng.integers(0, 4, (20, WIDTH))], rng.normal(size=(20, 6))
    wanted = np.stack([forward(arrays, *row) for row in zip(x, half_life, strict=True)])
    got = model.predict(model(torch.tensor(x).mT.float(), torch.tensor(half_life).float()))
    assert wanted.std() > 1
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


def test_a_network_with_other_features_is_refused_by_name(tmp_path):
    path = write(tmp_path / "network.h5", draw_arrays(num_features=6), whole=True)
    with pytest.raises(ValueError, match=r"dense_4/kernel:0, for dense\.0\.weight.*8 half-life features"):
        load(path, build(num_features=8))


def test_a_file_of_fewer_layers_is_refused(tmp_path):
    arrays = draw_arrays()
    del arrays["conv1d_4"]
    with pytest.raises(ValueError, match=r"network\.h5 has 8 arrays; wanted 10"):
        load(write(tmp_path / "network.h5", arrays, whole=False), build())


def test_a_file_that_holds_no_network_is_refused(tmp_path):
    with h5py.File(tmp_path / "train.h5", "w") as file:
        file.create_dataset("promoter", data=np.zeros((2, 20, 4)))
    with pytest.raises(ValueError, match=r"train\.h5 names no layers"):
        load(tmp_path / "train.h5", build())


def test_weights_for_plain_units_do_not_go_into_leaky_ones(tmp_path):
    path = write(tmp_path / "network.h5", draw_arrays(), whole=True)
    with pytest.raises(ValueError, match="wanted leaky=False"):
        load(path, build(leaky=True))
