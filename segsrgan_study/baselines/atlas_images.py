"""Registered atlases with the intensities of the image to label."""

from collections.abc import Sequence

import numpy as np

from segsrgan_core.errors import UserError
from segsrgan_study.baselines.case import Case
from segsrgan_study.baselines.registration import Warped

QUANTILES = np.linspace(0.005, 0.995, 100)
ATTRIBUTES = {"interpolated": "interpolated", "high_resolution": "image"}  # of `Warped`, by the parameter's word


def matched(case: Case, warped: Sequence[Warped], atlas_images: str, box=(slice(None),) * 3) -> list[np.ndarray]:
    """Return the warped atlases' images with the intensities of the case's image.

    Args:
        case: the case.
        warped: its atlases on its grid.
        atlas_images: "interpolated" (as degraded as the case's image) or "high_resolution".
        box: slices along the axes X, Y, Z.

    Returns:
        float32, the box of each atlas.

    Raises:
        UserError: `atlas_images` is another word.
    """
    if atlas_images not in ATTRIBUTES:
        raise UserError(f"atlas_images cannot be {atlas_images!r}; choose among {', '.join(ATTRIBUTES)}.")
    target = np.asarray(case.image.dataobj, dtype=np.float32)
    images = [getattr(atlas, ATTRIBUTES[atlas_images]) for atlas in warped]
    return [match_histogram(image, target, one.labels > 0)[box] for image, one in zip(images, warped, strict=True)]


def match_histogram(image: np.ndarray, reference: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Change intensities so that their distribution inside a region is that of another image in the same region.

    Quantiles go to quantiles, linearly in between; 0 (air) stays 0; above the highest quantile the image is shifted.

    Args:
        image: float32 (X, Y, Z), an atlas on the reference's grid.
        reference: float32 (X, Y, Z).
        inside: bool (X, Y, Z), the brain; without any voxel the image is returned unchanged.

    Returns:
        float32 (X, Y, Z), at least 0.
    """
    if not inside.any():
        return image
    source, wanted = (np.quantile(array[inside], QUANTILES) for array in (image, reference))
    rising = np.flatnonzero(np.diff(source, prepend=0) > 0)
    source = np.concatenate([[0], source[rising]])
    wanted = np.concatenate([[0], np.maximum.accumulate(np.clip(wanted[rising], 0, None))])
    matched = np.interp(image, source, wanted) + np.clip(image - source[-1], 0, None)
    return matched.astype(np.float32)
