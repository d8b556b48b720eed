"""Training state on disk as safetensors: nothing is pickled, and a reader sees a whole file or none."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from competition.base.errors import InputError

WEIGHTS = "weights.safetensors"  # of the model of a fold, in its folder


def save(path: Path, tree: object, *, durable: bool = True) -> None:
    """Write nested dicts, lists, tuples, numbers, strings and tensors as one safetensors file.

    The tensors are its entries, the structure around them is JSON in its header. durable waits for the disk.
    """
    tensors: dict[str, Tensor] = {}
    structure = json.dumps(_strip(tree, "", tensors))
    partial = path.with_name(f".{path.name}.partial")
    try:
        save_file(tensors, partial, metadata={"structure": structure})
        if durable:
            with partial.open("rb") as file:
                os.fsync(file.fileno())
        partial.replace(path)
    except SafetensorError as error:  # how it passes on what the system refuses
        raise OSError(f"{path} cannot be written: {error}") from None


def load(path: Path) -> Any:
    """Read what save wrote, on the CPU; InputError where the file is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            structure = json.loads((file.metadata() or {})["structure"])
            return _restore(structure, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except KeyError as error:
        raise InputError(f"{path} cannot be read as a checkpoint: it has no entry {error}") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a checkpoint: {error}") from None


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
    """Load weights into a module; InputError lists what is missing, unexpected or of another shape."""
    wanted = module.state_dict()
    faults = [f"{key} is missing" for key in wanted if key not in weights]
    faults += [f"{key} is unexpected" for key in weights if key not in wanted]
    faults += [
        f"{key} is {tuple(weights[key].shape)}, wanted {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in weights and weights[key].shape != value.shape
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise InputError(f"{name} is of another architecture: {'; '.join(faults[:3])}{more}")
    module.load_state_dict(dict(weights))


def _strip(tree: object, path: str, tensors: dict[str, Tensor]) -> object:
    if isinstance(tree, Tensor):
        while path in tensors:  # "a/b" beside {"a": {"b": ...}}
            path += "+"
        tensors[path] = _own(tree, tensors)
        return {"tensor": path}
    if isinstance(tree, Mapping):
        return {"dict": [[k, _strip(v, f"{path}/{k}".lstrip("/"), tensors)] for k, v in tree.items()]}
    if isinstance(tree, (list, tuple)):
        items = [_strip(v, f"{path}/{i}".lstrip("/"), tensors) for i, v in enumerate(tree)]
        return {"tuple" if isinstance(tree, tuple) else "list": items}
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    raise TypeError(f"a checkpoint cannot hold {type(tree).__name__} at {path}")


def _own(tensor: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
    """Return a contiguous CPU tensor of its own memory: tied weights are written twice."""
    tensor = tensor.detach().cpu().contiguous()
    shared = any(
        tensor.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
        for other in tensors.values()
    )
    return tensor.clone() if shared and tensor.numel() else tensor


def _restore(structure: object, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(structure, dict):
        return structure
    [(kind, content)] = structure.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _restore(value, tensors) for key, value in content}
    items = [_restore(value, tensors) for value in content]
    return tuple(items) if kind == "tuple" else items


def move(tree: Any, device: torch.device) -> Any:
    """Return the tree with its tensors on a device."""
    if isinstance(tree, Tensor):
        return tree.to(device)
    if isinstance(tree, dict):
        return {key: move(value, device) for key, value in tree.items()}
    return type(tree)(move(v, device) for v in tree) if isinstance(tree, (list, tuple)) else tree
