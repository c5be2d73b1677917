"""Intensity scale of images, the same in training and inference."""

import numpy as np

from segsrgan_core.errors import UserError

FEWEST_BRIGHT = 0.001  # least share of the field that is bright tissue


def intensity_scale(array: np.ndarray) -> float:
    """Return the intensity that is scaled to 1 for a network.

    It is the 99th percentile of the voxels brighter than the mean: the bright tissue (CSF in T2w), independent of the
    share of air and of a few extreme voxels.

    Args:
        array: float32 (X, Y, Z), an interpolated low-resolution image.

    Raises:
        UserError: there is no bright tissue, as in an image of negative values or of a few extreme voxels.
    """
    with np.errstate(over="ignore"):
        bright = array[array > array.mean()]
    if bright.size < FEWEST_BRIGHT * array.size:
        raise UserError(
            f"image: only {bright.size} of {array.size} voxels are brighter than the mean (maximum {array.max():g}); "
            "clip extreme intensities."
        )
    scale = float(np.percentile(bright, 99))
    if scale <= 0:
        raise UserError(
            f"image: the bright tissue is not above 0 (intensities {array.min():g} to {array.max():g}); give the image "
            "as the scanner made it."
        )
    return scale
