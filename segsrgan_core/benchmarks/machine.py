"""The machine on which a benchmark ran, and what else it was doing."""

import os
from importlib.metadata import version
from pathlib import Path

from segsrgan_core.report.run import hardware

FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
LIBRARIES = ("tensorflow", "keras", "numpy", "numba")


def machine() -> dict:
    """Return processor, cores, memory, the instructions that matter here, and the libraries' versions."""
    info = Path("/proc/cpuinfo")
    words = set(info.read_text().split()) if info.is_file() else set()
    import tensorflow as tf

    return {
        **hardware(),
        "instructions": [flag for flag in FLAGS if flag in words],
        "gpus": len(tf.config.list_physical_devices("GPU")),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def load() -> float:
    """Return how many processes wanted to run during the last minute, this one included (nan where unknown)."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
