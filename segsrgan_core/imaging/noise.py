"""Noise of magnitude images and the receive coil's bias field."""

import numpy as np
from scipy import ndimage


def add_rician(array: np.ndarray, sd: float, rng: np.random.Generator) -> np.ndarray:
    """Add Rician noise: the magnitude of the signal with Gaussian noise in both channels.

    Args:
        array: float32, any shape, signal >= 0 (a spline's small undershoot is kept as it is where sd is 0).
        sd: standard deviation in each channel, in the units of the array; 0 adds nothing.
        rng: source of randomness.

    Returns:
        float32 of the same shape.

    Source: Gudbjartsson and Patz, Magn Reson Med 34, 1995, eq. 1.
    """
    if sd == 0:
        return array
    real, imaginary = np.float32(sd) * rng.standard_normal((2, *array.shape), np.float32)
    return np.hypot(real + array, imaginary)


def bias_field(shape: tuple[int, ...], amplitude: float, rng: np.random.Generator, knots: int = 4) -> np.ndarray:
    """Draw a smooth multiplicative field around 1.

    Args:
        shape: (X, Y, Z).
        amplitude: the field lies within exp(-amplitude) ... exp(amplitude).
        rng: source of randomness.
        knots: control points an axis; fewer is smoother.

    Returns:
        float32 (X, Y, Z), positive.
    """
    control = rng.uniform(-1.0, 1.0, (knots,) * 3)
    smooth = ndimage.zoom(control, np.asarray(shape) / knots, order=3, mode="nearest", grid_mode=True)
    return np.exp(amplitude * np.clip(smooth, -1, 1)).astype(np.float32)
