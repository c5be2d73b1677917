"""Tissue priors from registered atlases by local label fusion (Makropoulos 2014, doi 10.1109/TMI.2014.2322280)."""

from collections.abc import Callable, Sequence

import numpy as np
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from segsrgan_study.baselines.ants_worker import in_workers, to_ants
from segsrgan_study.baselines.atlas_images import matched_atlases
from segsrgan_study.baselines.case import Case, MethodFailed
from segsrgan_study.boxes import around, crop

FULL_SCALE = 200.0  # intensities of the brain run from 0 to about this, the scale of the constant below
SIMILARITY = 10_000.0
REACH = 4.0  # of a Gaussian, in standard deviations


def label_brain(
    case: Case,
    estimate: Callable[[np.ndarray, np.ndarray, np.ndarray, list[int]], np.ndarray],
    margin: int,
    prior_sigma_voxels: float,
    atlas_images: str,
    bias_correction: bool = False,
) -> Nifti1Image:
    """Label the brain by its intensities and the priors of the registered atlases.

    `estimate` takes image (X, Y, Z), mask (X, Y, Z), priors (C, X, Y, Z) and their drawem9 numbers, and returns the
    posteriors (C, X, Y, Z). So many voxels are labelled around the atlases' labels as `margin` says; the priors are
    smoothed by a Gaussian of the standard deviation `prior_sigma_voxels`; `atlas_images` is as in `matched_atlases`;
    with `bias_correction` N4 (Tustison 2010; antspyx) removes the bias field first.
    """
    atlases, labels = matched_atlases(case, atlas_images)
    zone = ndimage.binary_dilation((labels > 0).any(axis=0), iterations=margin)
    if not zone.any():
        raise MethodFailed("no registered atlas has a label within the image")
    box = around(zone, 2)
    inside, image = zone[box], crop(case.image, box)
    (array,) = in_workers(_n4, [(image, inside)]) if bias_correction else [np.asarray(image.dataobj)]
    image, atlases, labels = scaled(array, inside), [scaled(one[box], inside) for one in atlases], labels[:, *box]
    numbers = np.unique(labels[:, inside])
    priors = tissue_priors(image, atlases, labels, numbers, prior_sigma_voxels)
    result = np.zeros(case.image.shape, np.uint8)
    result[box][inside] = numbers[estimate(image, inside, priors, numbers.tolist()).argmax(axis=0)[inside]]
    return Nifti1Image(result, case.image.affine)


def _n4(image: Nifti1Image, inside: np.ndarray) -> np.ndarray:
    import ants

    positive = Nifti1Image(np.clip(np.asarray(image.dataobj, np.float32), 0, None), image.affine)
    mask = Nifti1Image((inside & (np.asarray(image.dataobj) > 0)).astype(np.float32), image.affine)
    return ants.n4_bias_field_correction(to_ants(positive), mask=to_ants(mask), shrink_factor=4).numpy()


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
    """Average the atlases' labels, each weighted by how like the image it is around a voxel, and smooth them.

    The weight is exp(-27 m / 10000) with m the mean squared difference in 3 x 3 x 3 voxels. Image and atlases (X, Y, Z)
    have intensities from 0 to 200 (`scaled`); `numbers` are the labels of the priors, float32 (C, X, Y, Z).
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
    result = np.zeros(maps.shape, np.float32)
    for before, after in zip(maps, result, strict=True):
        if before.any():
            box = around(before > 0, int(REACH * sigma_voxels + 0.5))  # as scipy counts it
            ndimage.gaussian_filter(before[box], sigma_voxels, output=after[box], truncate=REACH)
    return result


def normalised(maps: np.ndarray) -> np.ndarray:
    """Divide maps (C, X, Y, Z) by their sum in each voxel; equal shares where it is 0."""
    total = maps.sum(axis=0)
    return np.where(total > 0, maps / np.where(total > 0, total, 1), np.float32(1 / len(maps)))
