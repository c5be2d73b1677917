"""Disturbances of an acquisition: Rician noise, the receive coil's bias field, motion between slices."""

import numpy as np
from scipy import ndimage

UNEVEN = 0.05  # half width of the brightness of moving slices around 1
DARK_SHARE = 0.03  # of moving slices that lose signal


def add_rician(array: np.ndarray, sd: float, rng: np.random.Generator) -> np.ndarray:
    """Add Rician noise to a signal >= 0 (float32): its magnitude with Gaussian noise of `sd` in both channels.

    Source: Gudbjartsson and Patz, Magn Reson Med 34, 1995, eq. 1.
    """
    if sd == 0:
        return array
    real, imaginary = np.float32(sd) * rng.standard_normal((2, *array.shape), np.float32)
    return np.hypot(real + array, imaginary)


def random_ramp(shape: tuple[int, ...], amplitude: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a bias field over a patch, float32 (X, Y, Z), 1 in the middle: exp of a random quadratic polynomial.

    `amplitude` is the largest slope and curvature of the field's logarithm per axis, over half the patch.
    """
    total = np.zeros((1, 1, 1), np.float32)
    for axis, n in enumerate(shape):
        line, (slope, curvature) = np.linspace(-1, 1, n), amplitude * rng.uniform(-1, 1, 2)
        along = [1 if other != axis else n for other in range(3)]
        total = total + (slope * line + curvature * line**2).reshape(along).astype(np.float32)
    return np.exp(total)


def move_slices(slices: np.ndarray, sd_voxels: float, rng: np.random.Generator, axis: int = 2) -> np.ndarray:
    """Imitate motion between slices: each is displaced within its plane and changes its brightness, a few get dark.

    Slices are stacked along `axis`; `sd_voxels` is that of the displacement along both axes of their plane.
    """
    stack = np.moveaxis(slices, axis, 0)
    brightness = 1 + UNEVEN * rng.uniform(-1, 1, len(stack))
    brightness[rng.random(len(stack)) < DARK_SHARE] *= rng.uniform(0.3, 0.9)
    shifts = rng.normal(0, sd_voxels, (len(stack), 2))
    moved = [ndimage.shift(one, by, order=1, mode="nearest") for one, by in zip(stack, shifts, strict=True)]
    return np.moveaxis(np.stack(moved) * brightness[:, None, None].astype(np.float32), 0, axis)
