"""What a training must remember to go on as if it had never stopped, in one file without code."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from segsrgan_core.errors import UserError
from segsrgan_core.imaging.files import atomic


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
        UserError: the file is damaged or of another architecture.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            meta = json.loads(stored["meta"].tobytes())
            for name, group in variables.items():
                for i, variable in enumerate(group):
                    variable.assign(stored[f"{name}/{i}"])
            return meta
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise UserError(
            f"{path}: expected the state of this training; it does not fit or is damaged ({error}); "
            "remove it to start again."
        ) from error
