"""Tissue priors from registered atlases by local label fusion (Makropoulos 2014, doi 10.1109/TMI.2014.2322280)."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from segsrgan_study.baselines.boxes import around

FULL_SCALE = 200.0  # intensities of the brain run from 0 to about this, the scale of the constant below
SIMILARITY = 10_000.0
REACH = 4.0  # of a Gaussian, in standard deviations


def scaled(image: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Scale intensities so that the 99th percentile inside a region is 200, cut at 0 and 250; float32."""
    top = np.percentile(image[inside], 99)
    return np.clip(image * (FULL_SCALE / max(top, 1e-6)), 0, 1.25 * FULL_SCALE).astype(np.float32)


def tissue_priors(
    image: np.ndarray,
    atlases: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    numbers: Sequence[int],
    sigma_voxels: float = 1.0,
) -> np.ndarray:
    """Average the atlases' labels, each weighted by how like the image it is around a voxel.

    The weight is exp(-27 m / 10000) with m the mean squared difference in 3 x 3 x 3 voxels.

    Args:
        image: (X, Y, Z), intensities from 0 to 200 (`scaled`).
        atlases: images on its grid and scale.
        labels: their labels.
        numbers: the labels to make priors of.
        sigma_voxels: the priors are smoothed with a Gaussian of this width.

    Returns:
        float32 (len(numbers), X, Y, Z) that sum to 1.
    """
    votes = np.zeros((len(numbers), *image.shape), np.float32)
    for atlas, label in zip(atlases, labels, strict=True):
        apart = ndimage.uniform_filter((image - atlas) ** 2, 3)
        weight = np.exp(-27 * apart / SIMILARITY) + 1e-6  # the last term: equal votes where no atlas is like the image
        for vote, number in zip(votes, numbers, strict=True):
            vote += weight * (label == number)
    return normalised(smoothed(normalised(votes), sigma_voxels))


def smoothed(maps: np.ndarray, sigma_voxels: float) -> np.ndarray:
    """Smooth maps (C, X, Y, Z) with a Gaussian, each in the box that its values above 0 reach; same shape, float32."""
    reach = int(REACH * sigma_voxels + 0.5)  # as scipy counts it
    result = np.zeros(maps.shape, np.float32)
    for before, after in zip(maps, result, strict=True):
        some = before > 0
        if some.any():
            box = around(some, reach)
            ndimage.gaussian_filter(before[box], sigma_voxels, output=after[box], truncate=REACH)
    return result


def normalised(maps: np.ndarray) -> np.ndarray:
    """Divide maps (C, X, Y, Z) by their sum in each voxel; equal shares where it is 0."""
    total = maps.sum(axis=0)
    return np.where(total > 0, maps / np.where(total > 0, total, 1), np.float32(1 / len(maps)))
