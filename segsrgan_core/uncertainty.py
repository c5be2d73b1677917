"""Uncertainty of labels and volumes.

A voxel is seen several times: in overlapping windows, some of them mirrored, and by several networks. The mean of these
passes gives the probabilities of each voxel, and with them the probability that its label is wrong. Their disagreement
tells unusual images.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain, combinations

import numpy as np
from scipy import ndimage

from segsrgan_core.classes import Classes

Network = Callable[[np.ndarray], np.ndarray]
SMOOTH_MM = 0.4  # sd of the Gaussian that the map of uncertainty is averaged by; 0.8 ranks wrong labels far worse


def views(networks: Sequence[Network], flips: Sequence[str], classes: Classes) -> list[Network]:
    """Return the mean of several networks, as it is and for each mirror image of its input.

    Networks are functions float32 (B, P, P, P, C) -> float32 (B, P, P, P, 1 + n), with n channels of the classes. Each
    combination of `flips`, axes out of "x" (left-right), "y", "z" in RAS+ order, is one more view. Views give one more
    channel than the networks: beside the mean, the mean of the squares of the `main_channel`.
    """
    axes = [1 + "xyz".index(name) for name in flips]
    mirrors = chain.from_iterable(combinations(axes, k) for k in range(len(axes) + 1))
    main = 1 + classes.main_channel
    swapped = list(range(1 + classes.channels))
    if classes.hemispheres:
        swapped[-2:] = swapped[:-3:-1]  # left and right

    def seen(x: np.ndarray, mirror: tuple[int, ...]) -> np.ndarray:
        mirrored = np.ascontiguousarray(np.flip(x, mirror))
        order = swapped if 1 in mirror else range(len(swapped))
        sums = np.zeros((len(swapped) + 1, *x.shape[:-1]), np.float32)
        for one in networks:
            y = np.moveaxis(np.flip(one(mirrored), mirror), -1, 0)
            for total, channel in zip(sums, order, strict=False):
                total += y[channel]
            sums[-1] += np.square(y[main])
        sums /= len(networks)
        return np.moveaxis(sums, 0, -1)

    return [partial(seen, mirror=mirror) for mirror in mirrors]


def error_probability(likely: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Return the probability that the labels around each voxel are wrong, float32 (X, Y, Z).

    It is averaged by a Gaussian, so that it can be read; its sum is the expected volume of wrong labels in voxels.
    `likely` is the probability of each label, float32 (X, Y, Z), see `Classes.most_likely`; an infinite voxel size
    gives a map that is not averaged.
    """
    return ndimage.gaussian_filter(np.clip(1 - likely, 0, 1), SMOOTH_MM / spacing_mm, output=np.float32)


def disagreement_ml(means: np.ndarray, squares: np.ndarray, voxel_ml: float) -> float:
    """Return the sum over the voxels (X, Y, Z) of the passes' standard deviation in ml: from means and mean squares."""
    return float(voxel_ml * np.sqrt(np.maximum(squares - means**2, 0)).sum(dtype=np.float64))
