"""Registered atlases with the intensities of the image to label."""

import numpy as np

from segsrgan_core.errors import UserError
from segsrgan_study.baselines.case import Case
from segsrgan_study.baselines.registration import warped_atlases

QUANTILES = np.linspace(0.005, 0.995, 100)
WARPED = {"interpolated": "interpolated", "high_resolution": "image"}  # keys of `warped_atlases`


def matched_atlases(case: Case, atlas_images: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the atlases on a case's grid, with its intensities: images float32, labels uint8, both (N, X, Y, Z).

    Their images are "interpolated" (as degraded as the case's image) or of "high_resolution"; UserError otherwise.
    """
    if atlas_images not in WARPED:
        raise UserError(f"atlas_images cannot be {atlas_images!r}; choose among {', '.join(WARPED)}.")
    warped, target = warped_atlases(case), np.asarray(case.image.dataobj, dtype=np.float32)
    images, labels = warped[WARPED[atlas_images]], warped["labels"]
    return np.stack([match_histogram(*pair, target) for pair in zip(images, labels > 0, strict=True)]), labels


def match_histogram(image: np.ndarray, inside: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Change intensities so that their distribution inside a region is that of another image in the same region.

    Quantiles go to quantiles, linearly in between; 0 (air) stays 0; above the highest quantile the image is shifted.
    Images and region are (X, Y, Z) on one grid; without any voxel inside the image is returned unchanged.
    """
    if not inside.any():
        return image
    source, wanted = (np.quantile(array[inside], QUANTILES) for array in (image, reference))
    rising = np.flatnonzero(np.diff(source, prepend=0) > 0)
    source = np.concatenate([[0], source[rising]])
    wanted = np.concatenate([[0], np.maximum.accumulate(np.clip(wanted[rising], 0, None))])
    return (np.interp(image, source, wanted) + np.clip(image - source[-1], 0, None)).astype(np.float32)
