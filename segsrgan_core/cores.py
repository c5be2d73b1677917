"""Number of cores that this process may use."""

import os

CORES_VARIABLE = "SEGSRGAN_CORES"


def cores() -> int:
    """Return the number of cores that this process may use; one among several processes is told its share."""
    share = os.environ.get(CORES_VARIABLE)
    if share:
        return int(share)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
