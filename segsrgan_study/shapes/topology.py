"""Topology of a segmented structure: pieces, handles and cavities."""

from itertools import combinations

import numpy as np
from scipy import ndimage

from segsrgan_study.boxes import around

TOUCHING = np.ones((3, 3, 3))  # voxels that share a face, an edge or a corner are connected
LARGEST_HOLE_ML = 1.0


def topology(mask: np.ndarray, voxel_ml: float) -> dict[str, float]:
    """Return the numbers that a closed sheet or a solid body would have as 1, 0 and 0, and how much is missing in it.

    The mask is (X, Y, Z), 0 outside the structure, with voxels of `voxel_ml`. They are connected by faces, edges and
    corners, those of the background by faces. Returned are euler: pieces minus handles plus cavities; n_components,
    n_handles, n_cavities; hole_ratio: volume of the cavities up to 1 ml each over that of the structure (a larger one
    is what the cortex encloses), nan if empty.
    """
    mask = np.asarray(mask) != 0
    mask = mask[around(mask)] if mask.any() else mask[:1, :1, :1]
    euler, pieces = euler_number(mask), ndimage.label(mask, TOUCHING)[1]
    parts, count = ndimage.label(np.pad(~mask, 1, constant_values=True))
    sizes = np.bincount(parts.ravel(), minlength=2)[1:]
    holes = np.delete(sizes, parts[0, 0, 0] - 1) * voxel_ml
    volume_ml = float(mask.sum()) * voxel_ml
    ratio = float(holes[holes <= LARGEST_HOLE_ML].sum()) / volume_ml if volume_ml else float("nan")
    numbers = {"euler": euler, "n_components": pieces, "n_cavities": count - 1}
    return numbers | {"n_handles": pieces + count - 1 - euler, "hole_ratio": ratio}


def euler_number(mask: np.ndarray) -> int:
    """Return the Euler number of a mask, bool (X, Y, Z), whose voxels touch by faces, edges and corners.

    It is pieces minus handles plus cavities: vertices minus edges plus faces minus voxels of the set of cubes.
    """
    cubes, total = np.pad(mask, 1), 0
    for n in range(4):
        for axes in combinations(range(3), n):
            cells = cubes
            for axis in axes:
                cells = cells | np.roll(cells, 1, axis)
            total += (-1) ** (3 - n) * int(cells.sum())
    return total
