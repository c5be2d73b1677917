"""How large the benchmarks are: as the study's networks and images are, or as small as their tests need."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class Size:
    """Sizes of networks and images.

    Attributes:
        k: channels of the generator at full resolution.
        critic_width: channels of the critic's first convolution.
        patch: edge of a training patch and of our windows in voxels.
        batches: patches a step.
        head: voxels of a whole head at 0.5 mm.
        window: edge of a published window in voxels.
        volume: voxels of the image that simulation and metrics are timed on.
        imapa: edge of the image that IMAPA is timed on, in voxels.
        neonate_mm: voxel size of the phantom that IMAPA labels whole.
        atlases: how many it labels it with.
        rounds: how often each comparison is repeated.
        seeds: trainings of each design whose validation curves are compared.
        iterations: of these trainings.
        validate_every: iterations.
    """

    k: int = 16
    critic_width: int = 32
    patch: int = 64
    batches: tuple[int, ...] = (1, 4)
    head: tuple[int, int, int] = (200, 230, 190)
    window: int = 128
    volume: tuple[int, int, int] = (100, 115, 96)
    imapa: int = 16
    neonate_mm: float = 0.8
    atlases: int = 8
    rounds: int = 3
    seeds: int = 3
    iterations: int = 160
    validate_every: int = 20


FULL = Size()
SMALL = Size(2, 2, 16, (1,), (24, 28, 24), 32, (20, 22, 24), 9, 3.0, 2, 2, 2, 2, 1)


def head(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Return a bright, textured ellipsoid that touches no edge, in air: float32 (X, Y, Z), tissue about 1."""
    grid = np.meshgrid(*(np.linspace(-1.05, 1.05, n, dtype=np.float32) for n in shape), indexing="ij", sparse=True)
    inside = sum(axis**2 for axis in grid) < 1
    texture = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape, np.float32), 1)
    return np.where(inside, np.float32(0.5) + texture, np.float32(0))
