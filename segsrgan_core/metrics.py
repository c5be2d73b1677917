"""Image quality and overlap of one estimate against its truth; arrays (X, Y, Z) on one grid."""

import numpy as np

from segsrgan_core.errors import UserError


def psnr(truth: np.ndarray, estimate: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, with the maximum of the truth as the peak (the talk's formula).

    Returns:
        10 log10(max(truth)^2 / mean((truth - estimate)^2)) over all voxels; infinity where the two are equal.

    Raises:
        UserError: the shapes differ, or the truth has no positive value.
    """
    truth, estimate = pair(truth, estimate, np.float64)
    peak = truth.max()
    if peak <= 0:
        raise UserError(f"truth: expected an image with a positive maximum. Received: {peak:g}.")
    error = np.mean(np.square(truth - estimate))
    return float(10 * np.log10(peak**2 / error)) if error > 0 else float("inf")


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice overlap 2|a n b| / (|a| + |b|), in [0, 1]: 1 where both masks are empty, 0 where only one is."""
    a, b = pair(a, b, bool)
    size = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / size if size else 1.0


def pair(a: np.ndarray, b: np.ndarray, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """Return two arrays as `dtype`.

    Raises:
        UserError: their shapes differ, or they are empty.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.size == 0:
        raise UserError(
            f"truth and estimate: expected two arrays of one shape. Received: {a.shape} and {b.shape}; "
            "bring the estimate to the truth's grid."
        )
    return a.astype(dtype), b.astype(dtype)
