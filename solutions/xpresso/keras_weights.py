"""Convert the weights of the authors' Keras networks into those of this one.

    with h5py.File("humanMedian_trainepoch.11-0.426.h5") as file:
        model.load_state_dict(from_keras(file, model))

Arrays are matched by order and shape, because Keras numbers their names anew in every session.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def from_keras(file: Any, model: nn.Module) -> dict[str, Tensor]:
    """Return the state dict with which our model computes what the network in an open h5py.File does.

    The file holds a whole Keras model or only its weights, convolutions as (K, in, out) and dense layers as
    (in, out). ValueError names an array that does not fit.
    """
    if model.config.leaky:
        raise ValueError(
            "the model has leaky=True; wanted leaky=False, the plain ReLU of the authors' networks"
        )
    arrays, slots, state = _read_arrays(file), list(_slots(model)), model.state_dict()
    if len(arrays) != len(slots):
        raise ValueError(f"{file.filename} has {len(arrays)} arrays; wanted {len(slots)}")
    for (theirs, array), (ours, shape) in zip(arrays.items(), slots, strict=True):
        if array.shape != shape:
            raise ValueError(
                f"{file.filename}: {theirs}, for {ours}, is {array.shape}; wanted {shape}, as in a network "
                f"with {model.num_features} half-life features"
            )
        transposed = array.T[:, :, None] if array.ndim == 3 else array.T
        state[ours] = torch.tensor(transposed, dtype=state[ours].dtype)
    state["dense.0.weight"] = _by_channel(state["dense.0.weight"], model)
    # The authors' networks predict z-scores, without converting them back.
    state["mean"], state["deviation"] = torch.zeros_like(model.mean), torch.ones_like(model.deviation)
    return state


def _read_arrays(file: Any) -> dict[str, np.ndarray]:
    """Return the arrays by name, in the order of the layers."""
    root = file.get("model_weights", file)
    if "layer_names" not in root.attrs:
        raise ValueError(f"{file.filename} names no layers; wanted a network that Keras 2 saved as .h5")
    groups = [root[_text(name)] for name in root.attrs["layer_names"]]
    names = [(group, _text(name)) for group in groups for name in group.attrs["weight_names"]]
    return {name: group[name][()] for group, name in names}


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _slots(model: nn.Module) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield (name of ours, shape in Keras) of every array, in the order of computation."""
    for name, layer in model.named_modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            shape = layer.weight.shape[::-1]
            yield f"{name}.weight", (shape[0], *shape[-2:]) if len(shape) == 4 else tuple(shape)
            yield f"{name}.bias", tuple(layer.bias.shape)


def _by_channel(weight: Tensor, model: nn.Module) -> Tensor:
    """Reorder columns (units, L C + F): Keras flattens a map by position, torch by channel."""
    size = weight.shape[1] - model.num_features
    by_position = weight[:, :size].unflatten(1, (-1, model.config.filters[-1]))  # (units, L, C)
    return torch.cat([by_position.transpose(1, 2).flatten(1), weight[:, size:]], dim=1)
