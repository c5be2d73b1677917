"""Bringing an atlas to the intensities of the image to label."""

import numpy as np

QUANTILES = np.linspace(0.005, 0.995, 100)


def match_histogram(image: np.ndarray, reference: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Change intensities so that their distribution inside a region is that of another image in the same region.

    Quantiles go to quantiles, linearly in between; 0 (air) stays 0; above the highest quantile the image is shifted.

    Args:
        image: float32 (X, Y, Z), an atlas on the reference's grid.
        reference: float32 (X, Y, Z).
        inside: bool (X, Y, Z), the brain; without any voxel the image comes back as it is.

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
