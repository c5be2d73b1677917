"""Number of cores that this process may use."""

import os

CORES_VARIABLE = "SEGSRGAN_CORES"


def cores() -> int:
    """Return the number of cores that this process may use: its share, if it is one of several workers."""
    share = os.environ.get(CORES_VARIABLE)
    if share:
        return int(share)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
