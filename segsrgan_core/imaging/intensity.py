"""The one intensity scale of training and use."""

import numpy as np

from segsrgan_core.errors import UserError

FEWEST_BRIGHT = 0.001  # share of the field that a head's bright tissue fills at the least


def intensity_scale(array: np.ndarray) -> float:
    """Return the intensity that is set to 1 before a network sees an image.

    It is the 99th percentile of the voxels brighter than the mean: the bright tissue (CSF in T2w), whatever share of
    the field is air, and not moved by a few extreme voxels.

    Args:
        array: float32 (X, Y, Z), an interpolated low-resolution image.

    Raises:
        UserError: no bright tissue stands out, such as in an image of negative values or of a few extreme voxels.
    """
    with np.errstate(over="ignore"):
        bright = array[array > array.mean()]
    if bright.size < FEWEST_BRIGHT * array.size:
        raise UserError(
            f"image: expected a head that fills {FEWEST_BRIGHT:.1%} of the field or more; received intensities up to "
            f"{array.max():g}, of which {bright.size} of {array.size} voxels are above the mean; clip the extreme ones."
        )
    scale = float(np.percentile(bright, 99))
    if scale <= 0:
        raise UserError(
            f"image: expected bright tissue above 0; received intensities from {array.min():g} to {array.max():g}; "
            "add a constant, or give the image as the scanner made it."
        )
    return scale
