"""Smooth surface between voxels, by marching tetrahedra, and its area."""

from itertools import permutations, product
from typing import NamedTuple

import numpy as np
from scipy import ndimage

SMOOTH_VOXELS = 0.75  # sd of the Gaussian that removes the staircase; gaps of one voxel stay open
ENDS = slice(None, -1), slice(1, None)  # the voxels below and above each cube, along an axis
# The six tetrahedra of a cube: from corner (0, 0, 0) to (1, 1, 1), one axis after the other.
_PATHS = np.array([np.cumsum([np.zeros(3, int), *np.eye(3, dtype=int)[list(p)]], 0) for p in permutations(range(3))])


class Surface(NamedTuple):
    """Surface of a solid, one piece per cube of 2 x 2 x 2 voxels that it runs through."""

    cubes: np.ndarray  # int (N, 3), first voxel of each cube
    areas_mm2: np.ndarray  # float32 (N,), area within each


def surface(solid: np.ndarray, spacing_mm: np.ndarray) -> Surface:
    """Return the surface of a mask, bool (X, Y, Z), False at the edges: where its Gaussian-smoothed indicator is 1/2.

    Marching tetrahedra (Doi and Koide, IEICE Transactions E74, 1991) on a field that was smoothed by 0.75 voxels: the
    staircase of a binary mask makes an area 9 % too large.
    """
    field = ndimage.gaussian_filter(np.asarray(solid, np.float32), SMOOTH_VOXELS, truncate=3.0) - np.float32(0.5)
    some = every = field > 0
    for axis in range(3):
        low, high = ((*[slice(None)] * axis, part) for part in ENDS)
        some, every = some[low] | some[high], every[low] & every[high]
    crossed = some & ~every
    cubes, at = np.argwhere(crossed), np.stack([field[parts][crossed] for parts in product(ENDS, repeat=3)], axis=1)
    areas = np.zeros(len(cubes), np.float32)
    for path in _PATHS:
        values = at[:, path @ [4, 2, 1]]
        order = np.argsort(values, 1)
        values = np.take_along_axis(values, order, 1)
        points = (path * spacing_mm).astype(np.float32)[order]
        below = (values <= 0).sum(1)
        for count, edges in ((1, "01 02 03"), (2, "02 03 13 12"), (3, "03 13 23")):
            here = np.flatnonzero(below == count)
            v, p, cuts = values[here], points[here], []
            for a, b in (map(int, edge) for edge in edges.split()):
                share = v[:, a] / (v[:, a] - v[:, b])
                cuts.append(p[:, a] + share[:, None] * (p[:, b] - p[:, a]))
            # Half the cross product of the diagonals of a plane quadrilateral; a triangle is one with a point twice.
            (a, b, c), (d, e, f) = (cuts[2] - cuts[0]).T, (cuts[-1] - cuts[1]).T
            areas[here] += np.sqrt((b * f - c * e) ** 2 + (c * d - a * f) ** 2 + (a * e - b * d) ** 2) / 2
    return Surface(cubes, areas)
