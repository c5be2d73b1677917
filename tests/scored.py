"""Masks and images that scores are tested with."""

import numpy as np
from scipy import ndimage


def cube(start: tuple[int, int, int], edge: int = 3, shape: tuple[int, int, int] = (12, 12, 12)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(s, s + edge) for s in start)] = True
    return mask


def smooth_image() -> np.ndarray:
    rng = np.random.default_rng(0)
    return ndimage.gaussian_filter(rng.random((20, 18, 16)), 1.5).astype(np.float32) + 0.1
