"""What the real thing costs on this machine: dHCP at the setting `paper` and 1500 images of Epirmex, from what it took.

docs/planning.md shows the arithmetic.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

PATCHES = 16 * 1000 * 200  # batch, steps an epoch, epochs
IMAGES = 1500
CRITIC_CHANNELS = (2, 32, 64, 128, 256, 512)


def plan(found: Mapping[str, Any]) -> dict[str, Any]:
    """Extrapolate from the benchmarks.

    Args:
        found: by benchmark, as `__main__.run` gathers them.

    Returns:
        `gflop_a_patch`, `share_of_peak_in_training`, `training_hours`, `epirmex_hours`, and `memory_gib` as measured.
    """
    gflop = iteration_gflop(found["peak"]["published"]["gflop"])
    batch, training = list(found["training"].items())[-1]
    seconds = training["fast_s"]["median"] / int(batch.split()[-1]) * PATCHES
    share = gflop * PATCHES / seconds / found["peak"]["published"]["peak_gflops"]
    return {
        "gflop_a_patch": gflop,
        "share_of_peak_in_training": share,
        "training_hours": seconds / 3600,
        "epirmex_hours": found["inference"]["shipped"]["fast_s"]["median"] * IMAGES / 3600,
        "memory_gib": found["memory"],
    }


def iteration_gflop(generator: float, n_critic: int = 5, patch: int = 64) -> float:
    """Count the products of one iteration on one patch.

    A backward pass takes twice its forward pass. A critic step is one generator forward (1 G), two scores with their
    backward passes (2 x 3 C) and the penalty: a score, its gradient, and the derivatives of both (6 C). A generator
    step is forward and backward (3 G) through a critic whose weights stay (2 C).

    Args:
        generator: GFLOP of its forward pass, G.
        n_critic: critic steps an iteration.
        patch: edge in voxels.
    """
    critic = critic_gflop(patch)
    return n_critic * (generator + 12 * critic) + 3 * generator + 2 * critic


def critic_gflop(patch: int = 64) -> float:
    """Count the products of the critic's forward pass, C: five 4^3 convolutions, each on half the grid."""
    layers = enumerate(pairwise(CRITIC_CHANNELS), start=1)
    return sum(2 * 4**3 * a * b * (patch / 2**level) ** 3 for level, (a, b) in layers) / 1e9
