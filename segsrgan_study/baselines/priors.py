"""Tissue priors from registered atlases by local label fusion (Makropoulos 2014, doi 10.1109/TMI.2014.2322280)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from segsrgan_study.baselines.atlas_images import matched
from segsrgan_study.baselines.case import Case, MethodFailed
from segsrgan_study.baselines.registration import warped_atlases
from segsrgan_study.boxes import Box, around, crop

FULL_SCALE = 200.0  # intensities of the brain run from 0 to about this, the scale of the constant below
SIMILARITY = 10_000.0
REACH = 4.0  # of a Gaussian, in standard deviations


@dataclass(frozen=True)
class Brain:
    """The box around the labels of the registered atlases.

    Attributes:
        box: slices along X, Y, Z.
        image: float32 (X, Y, Z), the case's image in the box.
        inside: bool (X, Y, Z), voxels to label.
        atlases: float32 (X, Y, Z) each, matched and `scaled`.
        labels: uint8 (X, Y, Z) each, drawem9 numbers.
    """

    box: Box
    image: Nifti1Image
    inside: np.ndarray
    atlases: list[np.ndarray]
    labels: list[np.ndarray]

    def label_map(self, labels: np.ndarray, case: Case) -> Nifti1Image:
        """Return labels (X, Y, Z) of the box on the grid of the case's image, uint8, 0 outside the brain."""
        result = np.zeros(case.image.shape, np.uint8)
        result[self.box] = np.where(self.inside, labels, 0)
        return Nifti1Image(result, case.image.affine)


def find_brain(case: Case, margin: int, atlas_images: str) -> Brain:
    """Register the atlases and cut out the brain.

    Args:
        case: image and atlases.
        margin: voxels labelled around the atlases' labels.
        atlas_images: as in `matched`.

    Raises:
        MethodFailed: no registered atlas has a label within the image.
    """
    warped = warped_atlases(case)
    zone = ndimage.binary_dilation(np.any([atlas.labels > 0 for atlas in warped], axis=0), iterations=margin)
    if not zone.any():
        raise MethodFailed("no registered atlas has a label within the image")
    box = around(zone, 2)
    atlases = [scaled(one, zone[box]) for one in matched(case, warped, atlas_images, box)]
    return Brain(box, crop(case.image, box), zone[box], atlases, [atlas.labels[box] for atlas in warped])


def scaled(image: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Scale intensities (X, Y, Z) so that the 99th percentile inside a region is 200, cut at 0 and 250; float32."""
    top = np.percentile(image[inside], 99)
    return np.clip(image * (FULL_SCALE / max(top, 1e-6)), 0, 1.25 * FULL_SCALE).astype(np.float32)


def tissue_priors(
    image: np.ndarray,
    atlases: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    numbers: Sequence[int],
    sigma_voxels: float,
) -> np.ndarray:
    """Average the atlases' labels, each weighted by how like the image it is around a voxel.

    The weight is exp(-27 m / 10000) with m the mean squared difference in 3 x 3 x 3 voxels.

    Args:
        image: (X, Y, Z), intensities from 0 to 200 (`scaled`).
        atlases: (X, Y, Z) each, on the image's grid and scale.
        labels: (X, Y, Z) each, drawem9 numbers.
        numbers: the labels of the C priors.
        sigma_voxels: standard deviation of the Gaussian that smooths the priors, in voxels.

    Returns:
        float32 (C, X, Y, Z) that sum to 1.
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
