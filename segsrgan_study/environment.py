"""Libraries, processor and precision, which decide a network's numbers besides code, settings and data."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from segsrgan_core.cores import cores

LIBRARIES = ("keras", "nibabel", "nilearn", "numpy", "scipy", "tensorflow")
INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2", "avx")  # the first that is there decides the kernels


def environment(precision: str) -> dict[str, Any]:
    """Return the facts of this machine and installation; the same machine gives the same facts.

    Args:
        precision: that the network runs in.
    """
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(device).get("device_name", "GPU") for device in devices]
    return {
        "accelerator": ", ".join(names) or "none",
        "cores": cores(),
        "instructions": instructions(),
        "machine": platform.machine(),
        "precision": precision,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of the libraries that the numbers go through."""
    return {name: metadata.version(name) for name in LIBRARIES}


def instructions() -> str:
    """Return the newest of the processor's vector instructions that the libraries know."""
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().split()) if info.is_file() else set()
    return next((name for name in INSTRUCTIONS if name in flags), "unknown")


def hardware() -> dict[str, str]:
    """Return the machine in words: processor, cores, memory, system, Python."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    facts = {"processor": names[0] if names else platform.processor() or platform.machine(), "cores": str(cores())}
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        facts["memory"] = f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB"
    return facts | {"system": f"{platform.system()} {platform.release()}", "Python": platform.python_version()}
