"""Bringing an atlas to the intensities of the image to label."""

import numpy as np

QUANTILES = np.linspace(0.005, 0.995, 100)


def match_histogram(image: np.ndarray, reference: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Change intensities so that their distribution inside a region is that of another image in the same region.

    Quantiles are mapped to quantiles, linearly in between; beyond the outermost ones a shift keeps the order.

    Args:
        image: float32 (X, Y, Z), an atlas on the reference's grid.
        reference: float32 (X, Y, Z).
        inside: bool (X, Y, Z), the brain; without any voxel the image comes back as it is.

    Returns:
        float32 (X, Y, Z), at least 0 where the image is; 0 stays 0.
    """
    if not inside.any():
        return image
    source = np.quantile(image[inside], QUANTILES)
    wanted = np.quantile(reference[inside], QUANTILES)
    source, first = np.unique(source, return_index=True)
    wanted = wanted[first]
    matched = np.interp(image, source, wanted)
    matched += np.clip(image - source[-1], 0, None)
    below = image < source[0]
    matched[below] = image[below] * (wanted[0] / source[0]) if source[0] > 0 else image[below]
    return matched.astype(np.float32)
