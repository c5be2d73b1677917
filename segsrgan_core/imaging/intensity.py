"""The one intensity scale of training and use."""

import numpy as np


def intensity_scale(array: np.ndarray) -> float:
    """Return the intensity that is set to 1 before a network sees an image.

    It is the 99th percentile of the voxels brighter than the mean: the bright tissue (CSF in T2w), whatever share of
    the field is air, and not moved by a few extreme voxels.

    Args:
        array: float32 (X, Y, Z), an interpolated low-resolution image.
    """
    bright = array[array > array.mean()]
    return float(np.percentile(bright, 99))
