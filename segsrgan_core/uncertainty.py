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

from segsrgan_core.classes import SIDES, Classes

Network = Callable[[np.ndarray], np.ndarray]
AXES = {"x": 0, "y": 1, "z": 2}  # of arrays in RAS+ order: left-right, back-front, foot-head
SMOOTH_MM = 0.4  # sd of the Gaussian that the map of uncertainty is averaged by; 0.8 ranks wrong labels far worse


def views(networks: Sequence[Network], flips: Sequence[str], classes: Classes) -> list[Network]:
    """Return the mean of several networks, as it is and for each mirror image of its input.

    Args:
        networks: functions float32 (B, P, P, P, C) -> float32 (B, P, P, P, 1 + n).
        flips: axes out of "x", "y", "z"; each combination of them is one more view.
        classes: classes of the n channels.

    Returns:
        Functions float32 (B, P, P, P, C) -> float32 (B, P, P, P, 1 + n + q): the mean over the networks, and the mean
        of the squares of the q `spread_channels`.
    """
    axes = [AXES[name] + 1 for name in flips]
    mirrors = chain.from_iterable(combinations(axes, k) for k in range(len(axes) + 1))
    squared = [1 + c for c in spread_channels(classes)]
    swapped = [0, *(1 + c for c in mirrored_channels(classes))]

    def seen(x: np.ndarray, mirror: tuple[int, ...]) -> np.ndarray:
        mirrored = np.ascontiguousarray(np.flip(x, mirror))
        order = swapped if AXES["x"] + 1 in mirror else range(len(swapped))
        sums = np.zeros((len(swapped) + len(squared), *x.shape[:-1]), np.float32)
        for one in networks:
            y = np.moveaxis(np.flip(one(mirrored), mirror), -1, 0)
            for total, channel in zip(sums, order, strict=False):
                total += y[channel]
            for total, channel in zip(sums[len(swapped) :], squared, strict=True):
                total += np.square(y[order[channel]])
        sums /= len(networks)
        return np.moveaxis(sums, 0, -1)

    return [partial(seen, mirror=mirror) for mirror in mirrors]


def mirrored_channels(classes: Classes) -> list[int]:
    """Return the order of the channels of a segmentation after left and right are exchanged."""
    order = list(range(classes.channels))
    if classes.hemispheres:
        order[-2:] = order[:-3:-1]
    return order


def spread_channels(classes: Classes) -> list[int]:
    """Return the channels of which the disagreement is measured: the named classes, and the outside of the skull."""
    n = classes.tissue_channels
    named = list(range(n - len(classes.names), n))
    return [*named, n] if classes.hemispheres else named


def error_probability(
    probabilities: dict[str, np.ndarray], labels: np.ndarray, numbers: dict[str, int], spacing_mm: float
) -> np.ndarray:
    """Return the probability that the labels around each voxel are wrong, float32 (X, Y, Z).

    It is averaged by a Gaussian, so that it can be read; its sum is the expected volume of wrong labels in voxels.

    Args:
        probabilities: by class, float32 (X, Y, Z); the rest to 1 belongs to the background.
        labels: uint8 (X, Y, Z), numbers of the classes, 0 for the background.
        numbers: number of each class.
        spacing_mm: voxel size; infinity for a map that is not averaged.
    """
    wrong = np.clip(sum(probabilities.values()), 0, 1)
    for name, number in numbers.items():
        here = labels == number
        wrong[here] = 1 - probabilities[name][here]
    return ndimage.gaussian_filter(wrong, SMOOTH_MM / spacing_mm, output=np.float32)


def disagreement_ml(
    classes: Classes, means: np.ndarray, squares: np.ndarray, sides: np.ndarray | None, voxel_ml: float
) -> dict[str, float]:
    """Return the sum of the passes' standard deviations over the voxels in ml, by name as `volumes_ml`.

    Means are those of the n channels, (X, Y, Z, n); squares the mean squares of the q `spread_channels`, (X, Y, Z, q).
    """
    spread = np.sqrt(np.maximum(squares - means[..., spread_channels(classes)] ** 2, 0))
    by_name = {name: spread[..., i] for i, name in enumerate(classes.names)}
    result = {name: float(voxel_ml * sd.sum()) for name, sd in by_name.items()}
    if sides is not None:
        for k, side in enumerate(SIDES, start=1):
            result |= {f"{side}_{name}": float(voxel_ml * sd[sides == k].sum()) for name, sd in by_name.items()}
        result["intracranial"] = float(voxel_ml * spread[..., -1].sum())
    return result
