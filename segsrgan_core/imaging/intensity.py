"""Intensity scale of images, the same in training and inference, and the noise of the air around a head."""

import numpy as np
from scipy import ndimage

from segsrgan_core.errors import UserError

FEWEST_BRIGHT = 0.001  # least share of the field that is bright tissue
BLOCK = 4  # voxels
NOTHING = 1e-3  # share of the intensity scale: noise is brighter on average, masked background is not
LIKE_NOISE = 1.25  # the darkest tenth of blocks over the darkest twentieth: 1.1 in air, 1.5 or more at a mask's edge
HEAD_MARGIN = 2  # blocks around the head that belong to it


def intensity_scale(array: np.ndarray) -> float:
    """Return the intensity that is scaled to 1 for a network.

    It is the 99th percentile of the voxels brighter than the mean and than the noise in air: the bright tissue (CSF in
    T2w), independent of the share of air and of a few extreme voxels. The array is float32 (X, Y, Z), an interpolated
    low-resolution image. A UserError tells that there is no bright tissue, as in an image of negative values or of a
    few extreme voxels.
    """
    with np.errstate(over="ignore"):
        mean = array.mean()
        bright = array[array > mean]
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
    noise = scale * min(4 * air_level(block_means(array) / scale), 0.3)
    return scale if noise <= mean else float(np.percentile(bright[bright > noise], 99))


def block_means(array: np.ndarray) -> np.ndarray:
    """Return the means of blocks of 4^3 voxels, float (ceil(X / 4), ceil(Y / 4), ceil(Z / 4))."""
    for axis, n in enumerate(array.shape):
        starts = np.arange(0, n, BLOCK)
        sizes = np.diff([*starts, n]).astype(np.float32)
        array = np.add.reduceat(array, starts, axis=axis) / np.expand_dims(sizes, [a for a in range(3) if a != axis])
    return array


def air_level(means: np.ndarray) -> float:
    """Return the mean intensity of the air around a head, of its noise, and 0 where a mask made it 0.

    `means` are those of `block_means` in units of the intensity scale.
    """
    seen = means[means > NOTHING]
    low, next_to_it = np.quantile(seen, [0.05, 0.1]) if seen.size else (0, 0)
    return float(low) if next_to_it < LIKE_NOISE * low else 0.0


def head_blocks(image: np.ndarray) -> np.ndarray:
    """Return the blocks of 4^3 voxels of the head: the largest bright part of the image and what lies close to it.

    The image is float32 (X, Y, Z), scaled, the blocks bool (ceil(X / 4), ceil(Y / 4), ceil(Z / 4)); all False where
    nothing is bright.
    """
    means = block_means(image)
    near = np.ones((2 * HEAD_MARGIN + 1,) * 3)
    parts, _ = ndimage.label(ndimage.binary_dilation(means > max(NOTHING, min(2 * air_level(means), 0.2)), near))
    sizes = np.bincount(parts.ravel())[1:]
    return np.isin(parts, 1 + np.flatnonzero(sizes >= 0.1 * max(sizes, default=0)))
