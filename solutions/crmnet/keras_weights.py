"""Convert the weights of the original Keras model into those of this one.

    arrays = keras.models.load_model("complex_media_model").get_weights()     # in a TensorFlow environment
    model.load_state_dict(from_keras(arrays, model))

Keras lists its arrays in the order of computation. Two parallel blocks may be swapped; their outputs are
summed, so that changes nothing.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from .layers import Attention, Doubling

KERAS_CHANNELS, OUR_CHANNELS = "NACGT", "ACGTN"  # Keras's string lookup puts the unknown letter first


def from_keras(arrays: Iterable[np.ndarray], model: nn.Module) -> dict[str, Tensor]:
    """Return the state dict with which our model computes what the Keras model does.

    Layouts of the arrays: convolution (K, in, out), transposed (K, out, in), dense (in, out), attention
    (D, H, K) and (H, K, D), batch norm gamma, beta, mean, variance. Our head flattens length-major, too, so
    transposing is enough. ValueError names the first array that does not fit.
    """
    arrays, slots, state = list(arrays), list(_slots(model)), model.state_dict()
    if len(arrays) != len(slots):
        raise ValueError(f"got {len(arrays)} arrays; wanted {len(slots)}")
    for number, (array, (name, shape)) in enumerate(zip(arrays, slots, strict=True)):
        if np.shape(array) != shape:
            raise ValueError(f"array {number}, for {name}, is {np.shape(array)}; wanted {shape}")
        state[name] = _convert(np.asarray(array), state[name])
    first = slots[0][0]
    if state[first].shape[1] == len(KERAS_CHANNELS):
        state[first] = state[first][:, [KERAS_CHANNELS.index(base) for base in OUR_CHANNELS]]
    return state


def _convert(array: np.ndarray, ours: Tensor) -> Tensor:
    if ours.ndim == 4:
        array = array.transpose(2, 1, 0)[:, :, None]
    elif ours.ndim == 2:
        array = array.reshape(ours.shape[::-1]).T
    return torch.tensor(array.reshape(ours.shape), dtype=ours.dtype)


def _slots(model: nn.Module) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield (name of ours, shape in Keras) of every array, in the order of computation."""
    attention: tuple[str, ...] = ()
    for name, module in model.named_modules():
        if name.startswith(attention):
            continue
        if isinstance(module, Attention):
            attention += (f"{name}.",)
        for part, shape in _arrays(module).items():
            yield f"{name}.{part}", shape


def _arrays(module: nn.Module) -> dict[str, tuple[int, ...]]:
    if isinstance(module, Attention):
        dim, heads, key_dim = module.out.out_features, module.heads, module.key_dim
        into = {"weight": (dim, heads, key_dim), "bias": (heads, key_dim)}
        out = {"out.weight": (heads, key_dim, dim), "out.bias": (dim,)}
        return {f"{p}.{w}": shape for p in ("query", "key", "value") for w, shape in into.items()} | out
    if isinstance(module, (nn.Conv2d, Doubling)):
        first, second, _, kernel = module.weight.shape
        return {"weight": (kernel, second, first), "bias": tuple(module.bias.shape)}
    if isinstance(module, nn.Linear):
        return {"weight": (module.in_features, module.out_features), "bias": (module.out_features,)}
    if isinstance(module, nn.LayerNorm):
        return dict.fromkeys(("weight", "bias"), tuple(module.normalized_shape))
    if isinstance(module, nn.BatchNorm2d):
        return dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (module.num_features,))
    return {}
