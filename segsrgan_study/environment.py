"""Libraries, processor and precision, which decide a network's numbers besides code, settings and data."""

import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from segsrgan_core.cores import cores

LIBRARIES = ("keras", "nibabel", "nilearn", "numpy", "openvino", "scipy", "tensorflow")
INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2", "avx")  # the first that is there decides the kernels


def environment(precision: str) -> dict[str, Any]:
    """Return the facts of this machine and installation, with the precision of the network; the same at every call."""
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(device).get("device_name", "GPU") for device in devices]
    flags = _processor("flags").split()
    return {
        "accelerator": ", ".join(names) or "none",
        "cores": cores(),
        "instructions": next((name for name in INSTRUCTIONS if name in flags), "unknown"),
        "machine": platform.machine(),
        "precision": precision,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "versions": versions(),
    }


def versions(*libraries: str) -> dict[str, str]:
    """Return the versions of libraries, by default of those that the study's numbers go through."""
    return {name: metadata.version(name) for name in libraries or LIBRARIES}


def hardware() -> dict[str, str]:
    """Return the machine in words: processor, cores, memory, system, Python."""
    import psutil

    return {
        "processor": _processor("model name") or platform.processor() or platform.machine(),
        "cores": str(cores()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }


def _processor(fact: str) -> str:
    """Return what Linux knows of the first core."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(fact)), "")
