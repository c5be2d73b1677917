"""Simulation, IMAPA and a surface distance as one would first write them in NumPy, to be measured against."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage
from scipy.optimize import lsq_linear

from segsrgan_core.imaging.degrade import FWHM_PER_SIGMA, slice_positions
from segsrgan_study.baselines.imapa_weights import RIDGE


def simulate(image: np.ndarray, ratio: float) -> np.ndarray:
    """Average an image (X, Y, Z) slice by slice along z under a Gaussian `ratio` voxels wide, and interpolate back."""
    n = image.shape[2]
    positions = slice_positions(n, 1.0, ratio)
    slices = []
    for position in positions:
        weights = np.exp(-0.5 * ((np.arange(n) - position) / (ratio / FWHM_PER_SIGMA)) ** 2)
        slices.append(np.average(image, axis=2, weights=weights))
    grid = np.indices(image.shape).astype(float)
    grid[2] = (grid[2] - positions[0]) / ratio
    return ndimage.map_coordinates(np.stack(slices, axis=2), grid, order=3, mode="reflect")


def imapa(target: np.ndarray, atlases: np.ndarray, labels: np.ndarray, half_patch: int, half_window: int, k: int):
    """Fuse registered atlases in one pass of IMAPA without label distance; as `baselines.imapa.soft_labels`.

    Args:
        target: (X, Y, Z).
        atlases: (N, X, Y, Z).
        labels: (N, X, Y, Z), whole numbers from 0.
        half_patch: half width of a patch.
        half_window: half width of the search window.
        k: number of patches kept.

    Returns:
        Soft maps (X, Y, Z, C).
    """
    pad, side = half_patch + half_window, 2 * half_patch + 1
    numbers = np.unique(labels)
    around = [(pad, pad)] * 3
    windows = sliding_window_view(np.pad(atlases / target.max(), [(0, 0), *around]), (side,) * 3, axis=(1, 2, 3))
    patches = sliding_window_view(np.pad(target / target.max(), around), (side,) * 3)
    centres = np.pad(labels, [(0, 0), *[(half_window, half_window)] * 3])
    soft = np.zeros((*target.shape, len(numbers)))
    for voxel in np.ndindex(target.shape):
        area = (slice(None), *(slice(i, i + 2 * half_window + 1) for i in voxel))
        mine = patches[tuple(i + half_window for i in voxel)].ravel()
        difference = windows[area].reshape(-1, side**3) - mine
        distance = (difference**2).sum(axis=1)
        nearest = np.argsort(distance, kind="stable")[:k]
        gram = difference[nearest] @ difference[nearest].T
        trace = np.trace(gram)
        matrix = gram + np.eye(k) * (RIDGE * trace if trace > 0 else RIDGE)
        weights = lsq_linear(matrix, np.ones(k), (0, 1)).x
        for c, number in enumerate(numbers):
            soft[voxel][c] = weights[centres[area].ravel()[nearest] == number].sum() / weights.sum()
    return soft


def hd95_mm(a: np.ndarray, b: np.ndarray, spacing_mm: float) -> float:
    """95 % Hausdorff distance of two masks: every border voxel against every other."""
    borders = [np.argwhere(mask & ~ndimage.binary_erosion(mask)) * spacing_mm for mask in (a, b)]

    def nearest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
        return np.array([np.sqrt(((others - point) ** 2).sum(axis=1)).min() for point in points])

    return max(np.percentile(nearest(*pair), 95) for pair in (borders, borders[::-1]))
