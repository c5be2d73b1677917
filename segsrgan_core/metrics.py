"""Image quality and overlap of one estimate against its truth; arrays (X, Y, Z) on one grid."""

import numpy as np

from segsrgan_core.errors import UserError


def psnr(truth: np.ndarray, estimate: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio, 10 log10(max(truth)^2 / mean((truth - estimate)^2)), in dB; inf if equal.

    A UserError tells that the shapes differ, or that the truth has no positive value.
    """
    truth, estimate = pair(truth, estimate, np.float64)
    peak = truth.max()
    if peak <= 0:
        raise UserError(f"truth: the maximum of the image is {peak:g}; give an image with positive intensities.")
    error = np.mean(np.square(truth - estimate))
    return float(10 * np.log10(peak**2 / error)) if error > 0 else float("inf")


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Dice overlap 2|a n b| / (|a| + |b|) of masks (X, Y, Z), in [0, 1]; 1 if both are empty."""
    a, b = pair(a, b, bool)
    size = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / size if size else 1.0


def pair(a: np.ndarray, b: np.ndarray, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """Return two arrays as `dtype`; a UserError where their shapes differ or they are empty."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.size == 0:
        raise UserError(f"truth and estimate: shapes {a.shape} and {b.shape} differ; resample the estimate.")
    return a.astype(dtype), b.astype(dtype)
