"""Disturbances of an acquisition: Rician noise, the receive coil's bias field, motion between slices."""

import numpy as np
from scipy import ndimage

UNEVEN = 0.05  # half width of the brightness of moving slices around 1
DARK_SHARE = 0.03  # of moving slices that lose signal


def add_rician(array: np.ndarray, sd: float, rng: np.random.Generator) -> np.ndarray:
    """Add Rician noise: the magnitude of the signal with Gaussian noise in both channels.

    Source: Gudbjartsson and Patz, Magn Reson Med 34, 1995, eq. 1.

    Args:
        array: float32, any shape, signal >= 0.
        sd: standard deviation in each channel, in units of the array; 0 returns the array.
        rng: source of randomness.

    Returns:
        float32 of the same shape.
    """
    if sd == 0:
        return array
    real, imaginary = np.float32(sd) * rng.standard_normal((2, *array.shape), np.float32)
    return np.hypot(real + array, imaginary)


def random_ramp(shape: tuple[int, ...], amplitude: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a bias field over a patch: the exponential of a random quadratic polynomial.

    Args:
        shape: (X, Y, Z).
        amplitude: largest slope and curvature of the field's logarithm per axis, over half the patch.
        rng: source of randomness.

    Returns:
        float32 (X, Y, Z), positive, 1 in the middle.
    """
    total = np.zeros((1, 1, 1), np.float32)
    for axis, n in enumerate(shape):
        line, (slope, curvature) = np.linspace(-1, 1, n), amplitude * rng.uniform(-1, 1, 2)
        along = [1 if other != axis else n for other in range(3)]
        total = total + (slope * line + curvature * line**2).reshape(along).astype(np.float32)
    return np.exp(total)


def move_slices(slices: np.ndarray, sd_voxels: float, rng: np.random.Generator, axis: int = 2) -> np.ndarray:
    """Imitate motion between slices: each is displaced within its plane and changes its brightness, a few get dark.

    Args:
        slices: float32 (X, Y, Z), slices stacked along `axis`.
        sd_voxels: standard deviation of the displacement along both axes of the plane, in voxels.
        rng: source of randomness.
        axis: axis of the stack.

    Returns:
        float32 of the same shape.
    """
    stack = np.moveaxis(slices, axis, 0)
    brightness = 1 + UNEVEN * rng.uniform(-1, 1, len(stack))
    brightness[rng.random(len(stack)) < DARK_SHARE] *= rng.uniform(0.3, 0.9)
    shifts = rng.normal(0, sd_voxels, (len(stack), 2))
    moved = [ndimage.shift(one, by, order=1, mode="nearest") for one, by in zip(stack, shifts, strict=True)]
    return np.moveaxis(np.stack(moved) * brightness[:, None, None].astype(np.float32), 0, axis)
