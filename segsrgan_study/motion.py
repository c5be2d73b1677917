"""Slices that moved within their plane between one excitation and the next: found, and brought back.

What a slice is displaced by against the mean of its two neighbours holds little of the anatomy, whose slow changes
cancel, and of independent displacements s it holds e_k = s_k - (s_(k-1) + s_(k+1)) / 2. Its neighbours in e then go
against it, with a covariance of minus the variance of s, where both noise and anatomy give none or a positive one. This
tells motion from anatomy; s follows by least squares with the variance of s against that of the noise.
"""

from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from segsrgan_core.imaging.geometry import spacing_mm, through_plane_axis
from segsrgan_core.imaging.intensity import intensity_scale

BLURS_MM = (3.0, 2.0, 1.0, 1.0)  # standard deviation within slices, from pass to pass
LEAST_MM = 0.25  # smaller displacements (standard deviation) are left alone; 0.2 or less is found in still heads
NOISE_MM = 0.15  # of the offsets found, at the least
SLOW_SLICES = 3.0  # standard deviation of the window whose mean counts as anatomy
FARTHEST_MM = 8.0
LEAST_VOXELS = 200


def offsets_mm(stack: np.ndarray, inside: np.ndarray, sizes: np.ndarray, blur_mm: float) -> np.ndarray:
    """Return the displacement of each slice against the mean of its two neighbours, (n, 2) in mm along both axes.

    By least squares on the in-plane gradient, where all three are inside: slices are float32 (n, X, Y), `inside` bool,
    their voxels of `sizes` (2,) in mm. They are first blurred by a Gaussian of the standard deviation `blur_mm`;
    displacements far above it are underestimated. nan where fewer than 200 voxels are inside, and for the first and the
    last slice.
    """
    found, stack = np.full((len(stack), 2), np.nan), stack - min(float(stack.min()), 0.0)  # for their brightness, below
    smooth = [ndimage.gaussian_filter(one, blur_mm / sizes) for one in stack]
    for k in range(1, len(stack) - 1):
        here = inside[k - 1] & inside[k] & inside[k + 1]
        if np.count_nonzero(here) < LEAST_VOXELS:
            continue
        mean, middle = (smooth[k - 1] + smooth[k + 1]) / 2, smooth[k]
        level = mean[here].sum()
        middle = middle * (level / max(middle[here].sum(), 1e-6 * level, np.finfo(np.float32).tiny))
        slopes = np.stack([slope[here] for slope in np.gradient((mean + middle) / 2, *sizes)], -1)
        found[k] = np.linalg.lstsq(slopes, mean[here] - middle[here], rcond=None)[0]
    return np.clip(found, -FARTHEST_MM, FARTHEST_MM)


def brought_back(image: Nifti1Image) -> tuple[Nifti1Image, float]:
    """Bring displaced slices of an image, float32 (X, Y, Z) in any orientation, back within their plane.

    Returned are the image, itself where displacements are below `LEAST_MM`, and their standard deviation along each
    axis in mm, then 0.
    """
    axis, array = through_plane_axis(image), np.asarray(image.dataobj, np.float32)
    sizes, still = np.delete(spacing_mm(image), axis), np.moveaxis(array, axis, 0)
    stack, head = still, still > 0.1 * intensity_scale(array)
    inside, shifts, weight, sd = head, np.zeros((len(stack), 2)), 0.0, 0.0
    if min(array.shape) < 4:
        return image, 0.0
    for blur_mm in BLURS_MM:
        offsets = offsets_mm(still, inside, sizes, blur_mm)
        known = np.isfinite(offsets[:, 0])
        both = known[1:] & known[:-1]
        if both.sum() < 3:
            return image, 0.0
        offsets = np.where(known[:, None], offsets, 0)
        offsets -= known[:, None] * _slow(offsets) / np.maximum(_slow(known[:, None].astype(float)), 1e-6)
        if not weight:
            variance = -np.mean(np.sum(offsets[1:] * offsets[:-1], axis=1)[both]) / 2
            if variance < LEAST_MM**2:
                return image, 0.0
            noise = np.mean(np.square(offsets[known])) - 1.5 * variance
            weight, sd = max(noise, NOISE_MM**2) / variance, float(np.sqrt(variance))
        shifts += _solved(offsets, known, shifts, weight)
        still = _moved(stack, -shifts / sizes, order=3, mode="nearest")
        inside = _moved(head.astype(np.float32), -shifts / sizes, order=1) > 0.5
    still = np.clip(still, array.min(), None)
    return Nifti1Image(np.ascontiguousarray(np.moveaxis(still, 0, axis)), image.affine), sd


def _moved(stack: np.ndarray, by_voxels: np.ndarray, **options: Any) -> np.ndarray:
    return np.stack([ndimage.shift(one, by, **options) for one, by in zip(stack, by_voxels, strict=True)])


def _slow(values: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter1d(values, SLOW_SLICES, axis=0)


def _solved(offsets: np.ndarray, known: np.ndarray, shifts: np.ndarray, weight: float) -> np.ndarray:
    """Return d that minimises |offsets - A d|^2 over the known slices + weight |shifts + d|^2, with (A d)_k = e_k."""
    n = len(offsets)
    against = np.eye(n) - 0.5 * (np.eye(n, k=1) + np.eye(n, k=-1))
    against = against[known]
    return np.linalg.solve(against.T @ against + weight * np.eye(n), against.T @ offsets[known] - weight * shifts)
