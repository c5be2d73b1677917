"""The machine on which a benchmark ran, and what else it was doing."""

import os
from importlib.metadata import version

from segsrgan_study.environment import instructions, versions
from segsrgan_study.report.run import hardware


def machine() -> dict:
    """Return processor, cores, memory, the newest instructions that matter here, and the libraries' versions."""
    import tensorflow as tf

    return {
        **hardware(),
        "instructions": instructions(),
        "gpus": len(tf.config.list_physical_devices("GPU")),
        "libraries": {**versions(), "numba": version("numba")},
    }


def load() -> float:
    """Return how many processes wanted to run during the last minute, this one included (nan where unknown)."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
