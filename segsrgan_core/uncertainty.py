"""How far a segmentation can be trusted.

A voxel is seen several times: in overlapping windows, some of them mirrored, and by several networks. The mean of these
passes gives each voxel's probabilities, and with them the probability that its label is wrong. Their disagreement gives
the standard errors of volumes: if all voxels erred together, a volume's standard deviation would be the sum of theirs;
how much of it is left as an error is learnt from cases whose true volume is known.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain, combinations

import numpy as np

from segsrgan_core.classes import SIDES, Classes

Network = Callable[[np.ndarray], np.ndarray]
AXES = {"x": 0, "y": 1, "z": 2}  # of arrays in RAS+ order: left-right, back-front, foot-head


def views(networks: Sequence[Network], flips: Sequence[str], classes: Classes) -> list[Network]:
    """Make one network of several, and of it one that sees the head as it is and one for each of its mirror images.

    Args:
        networks: float32 (B, P, P, P, C) -> float32 (B, P, P, P, 1 + n).
        flips: axes out of "x", "y", "z"; every combination of them is one more view.
        classes: what the n channels are.

    Returns:
        Each float32 (B, P, P, P, C) -> float32 (B, P, P, P, 1 + n + q): the mean over the networks, and the mean of the
        squares of the q channels that `spread_channels` names.
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
    """Return where each channel of a segmentation stands when left and right are exchanged."""
    order = list(range(classes.channels))
    if classes.hemispheres:
        order[-2:] = order[:-3:-1]
    return order


def spread_channels(classes: Classes) -> list[int]:
    """Return the channels whose disagreement is measured: the named classes, and the outside of the skull."""
    n = classes.tissue_channels
    named = list(range(n - len(classes.names), n))
    return [*named, n] if classes.hemispheres else named


def error_probability(probabilities: dict[str, np.ndarray], labels: np.ndarray, numbers: dict[str, int]) -> np.ndarray:
    """Return the probability that each voxel's label is wrong.

    It is read without knowing a method, can be checked against the truth (`calibration`), and sums up to the volume
    that is expected to be labelled wrongly.

    Args:
        probabilities: of each class, float32 (X, Y, Z); what is missing to 1 is the background's.
        labels: uint8 (X, Y, Z), the classes' numbers, 0 for the background.
        numbers: of each class.
    """
    wrong = np.clip(sum(probabilities.values()), 0, 1)
    for name, number in numbers.items():
        here = labels == number
        wrong[here] = 1 - probabilities[name][here]
    return wrong


def disagreement_ml(
    classes: Classes, means: np.ndarray, squares: np.ndarray, sides: np.ndarray | None, voxel_ml: float
) -> dict[str, float]:
    """Sum up the passes' standard deviations, for every volume that a segmentation gives.

    Args:
        classes: what the channels are.
        means: float32 (X, Y, Z, n), of the passes' probabilities.
        squares: float32 (X, Y, Z, q), means of the squares of the `spread_channels`.
        sides: uint8 (X, Y, Z), 1 left, 2 right, or None.
        voxel_ml: volume of a voxel.

    Returns:
        ml by name, as in `Segmentation.volumes_ml`: the standard deviation if all voxels erred together.
    """
    spread = np.sqrt(np.maximum(squares - means[..., spread_channels(classes)] ** 2, 0))
    by_name = {name: spread[..., i] for i, name in enumerate(classes.names)}
    result = {name: float(voxel_ml * sd.sum()) for name, sd in by_name.items()}
    if sides is not None:
        for k, side in enumerate(SIDES, start=1):
            result |= {f"{side}_{name}": float(voxel_ml * sd[sides == k].sum()) for name, sd in by_name.items()}
        result["intracranial"] = float(voxel_ml * spread[..., -1].sum())
    return result


def error_factor(errors_ml: Sequence[float], disagreements_ml: Sequence[float]) -> float:
    """Return by what the disagreement is multiplied to be a standard error: the root mean square of their ratio.

    Args:
        errors_ml: of volumes whose truth is known, estimate minus truth, one a case.
        disagreements_ml: of the same, > 0.
    """
    return float(np.sqrt(np.mean(np.square(np.asarray(errors_ml) / np.asarray(disagreements_ml)))))
