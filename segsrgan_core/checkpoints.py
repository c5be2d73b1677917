"""Weights and training states in one `.npz` file without code; the same values give the same bytes."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from segsrgan_core.atomic import atomic
from segsrgan_core.errors import UserError

BITS = 12  # of packed weights
FACTOR = "/factor"  # ends the name of what an array of integers is multiplied by
OTHER_NETWORK = "the weights are of another architecture; remove the file or name the right settings."


def save_state(path: Path, variables: dict[str, list], meta: dict[str, Any]) -> None:
    """Write lists of Keras or TensorFlow variables by name, and JSON values `meta`, to an `.npz` file, atomically."""
    arrays = {f"{name}/{i}": np.asarray(v) for name, group in variables.items() for i, v in enumerate(group)}
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    atomic(path, lambda part: np.savez(part, **arrays))


def pack(path: Path, target: Path) -> None:
    """Write a network's weights in half of the space: integers of 12 bits, and a factor for each output channel."""
    arrays = dict(np.load(path, allow_pickle=False))
    for name in [name for name, array in arrays.items() if array.ndim > 1 and array.dtype == np.float32]:
        largest = np.abs(arrays[name]).max(axis=tuple(range(arrays[name].ndim - 1)), keepdims=True)
        factor = np.maximum(largest / (2 ** (BITS - 1) - 1), np.finfo(np.float32).tiny)
        arrays |= {name: np.round(arrays[name] / factor).astype(np.int16), name + FACTOR: factor}
    atomic(target, lambda part: np.savez_compressed(part, **arrays))


def read_state(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of a file of `save_state`, or of `pack`, by name, such as "generator/0", and its plain values.

    A UserError tells that the file is missing, damaged, or not finite.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:  # a pickle could execute code
            arrays = {name: np.asarray(stored[name]) for name in stored}  # bytes, where it is no array
        for name in [name.removesuffix(FACTOR) for name in arrays if name.endswith(FACTOR)]:
            arrays[name] = arrays[name] * arrays.pop(name + FACTOR)
        meta = dict(json.loads(arrays.pop("meta").tobytes()))
        bad = sum(not np.all(np.isfinite(array)) for array in arrays.values())
    except Exception as error:  # numpy and zipfile raise many kinds
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: the file is missing or damaged ({reason}); copy it again, or train again.") from error
    if bad:
        raise UserError(f"{path}: NaN or infinity in {bad} arrays of weights; train again.")
    return arrays, meta


def load_state(path: Path, variables: dict[str, list]) -> dict[str, Any]:
    """Read a file of `save_state` into variables of the shapes and types that were stored; return the plain values.

    A UserError tells that it is missing, damaged, of other variables, or not finite; then no variable has changed.
    """
    arrays, meta = read_state(path)
    wanted = {f"{name}/{i}": v for name, group in variables.items() for i, v in enumerate(group)}
    now = {name: np.asarray(variable) for name, variable in wanted.items()}
    if {n: (a.shape, a.dtype) for n, a in arrays.items()} != {n: (a.shape, a.dtype) for n, a in now.items()}:
        raise UserError(f"{path}: {OTHER_NETWORK}")
    for name, variable in wanted.items():
        variable.assign(arrays[name])
    return meta
