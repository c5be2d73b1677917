"""Weights, and all else that a training must remember to go on as if it had never stopped, in one file without code.

The same values give the same bytes.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from segsrgan_core.atomic import atomic
from segsrgan_core.errors import UserError


def save_state(path: Path, variables: dict[str, list], meta: dict[str, Any]) -> None:
    """Write arrays and plain values atomically.

    Args:
        path: `.npz` file.
        variables: lists of Keras or TensorFlow variables by name, such as the weights of a network.
        meta: JSON values: step, history, ...
    """
    arrays = {f"{name}/{i}": np.asarray(v) for name, group in variables.items() for i, v in enumerate(group)}
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    atomic(path, lambda part: np.savez(part, **arrays))


def load_state(path: Path, variables: dict[str, list]) -> dict[str, Any]:
    """Fill variables from a file that `save_state` wrote.

    Returns:
        The plain values.

    Raises:
        UserError: the file is missing, damaged, not of these variables, or not finite; no variable has changed then.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:  # a pickle could execute code
            arrays = {name: np.asarray(stored[name]) for name in stored}  # bytes, where it is no array
        meta = dict(json.loads(arrays.pop("meta").tobytes()))
    except Exception as error:  # numpy and zipfile raise many kinds
        raise UserError(
            f"{path}: expected stored weights; received a file that is missing or damaged "
            f"({' '.join(str(error).split())[:200]}); copy it again, or train again."
        ) from error
    wanted = {f"{name}/{i}": v for name, group in variables.items() for i, v in enumerate(group)}
    if {n: (a.shape, a.dtype) for n, a in arrays.items()} != {n: _kind(v) for n, v in wanted.items()}:
        raise UserError(
            f"{path}: expected {len(wanted)} arrays of this network and training; received {len(arrays)} of another "
            "architecture; remove the file or name the right settings."
        )
    bad = sum(not np.all(np.isfinite(array)) for array in arrays.values())
    if bad:
        raise UserError(f"{path}: expected finite weights; received NaN or infinity in {bad} arrays; train again.")
    for name, variable in wanted.items():
        variable.assign(arrays[name])
    return meta


def _kind(variable: Any) -> tuple[tuple[int, ...], np.dtype]:
    array = np.asarray(variable)
    return array.shape, array.dtype
