"""One step of BET's surface without lists and arrays for each of its vertices, which are most of brainextractor's time.

The sums are brainextractor's own (`BrainExtractor.step_of_deformation`), in the same order.
"""

import math

import numpy as np
from numba import njit


@njit(cache=True)
def step(data, vertices, normals, centroids, length, t2, t, tm, t98, e, f, threshold, d1, d2, *written):
    """Find how far each vertex moves, called as brainextractor calls its own.

    Args:
        data: float64 (X, Y, Z), the head.
        vertices: float64 (V, 3) in voxels.
        normals: of unit length, pointing outwards.
        centroids: of each vertex's neighbours.
        length: mean distance of neighbours in voxels.
        t2: second percentile of the intensities.
        t: intensity between head and air.
        tm: median intensity of the head.
        t98: not used.
        e: centre of the curvatures between which the surface is smoothed gradually.
        f: steepness of the change between them.
        threshold: BET's fractional intensity.
        d1: how far inwards the least intensity is sought, in voxels.
        d2: the same of the greatest.
        *written: seven times float64 (V, 3): brainextractor's scratch, not used, and last by how much to move.
    """
    moves = written[-1]
    for i in range(len(vertices)):
        x, y, z = vertices[i]
        nx, ny, nz = normals[i]
        sx, sy, sz = centroids[i, 0] - x, centroids[i, 1] - y, centroids[i, 2] - z
        out = sx * nx + sy * ny + sz * nz
        ox, oy, oz = out * nx, out * ny, out * nz
        radius = length**2 / (2 * np.sqrt(ox**2 + oy**2 + oz**2))
        smooth = (1 + np.tanh(f * (1 / radius - e))) / 2
        here = (_nearest(x), _nearest(y), _nearest(z))
        there = (_nearest(x - d1 * nx), _nearest(y - d1 * ny), _nearest(z - d1 * nz))
        low = max(t2, min(tm, _extremes(data, here, there)[0]))
        there = (_nearest(x - d2 * nx), _nearest(y - d2 * ny), _nearest(z - d2 * nz))
        high = min(tm, max(t, _extremes(data, here, there)[1]))
        edge = (high - t2) * threshold + t2
        push = 0.05 * 2 * (low - edge) / (high - t2) * length
        moves[i, 0] = 0.5 * (sx - ox) + smooth * ox + push * nx
        moves[i, 1] = 0.5 * (sy - oy) + smooth * oy + push * ny
        moves[i, 2] = 0.5 * (sz - oz) + smooth * oz + push * nz


@njit(cache=True)
def _nearest(x):
    """Round; halves downwards."""
    floor = math.floor(x)
    return int(floor) + (1 if x - floor > 0.5 else 0)


@njit(cache=True)
def _extremes(data, start, end):
    """Least and greatest value on Bresenham's line between two voxels, both counted."""
    dx, dy, dz = abs(end[0] - start[0]), abs(end[1] - start[1]), abs(end[2] - start[2])
    step_x, step_y, step_z = _sign(start[0], end[0]), _sign(start[1], end[1]), _sign(start[2], end[2])
    longest = max(dx, dy, dz)
    # The driving axis moves at every voxel, the first of equally long ones; the others where their error says so.
    drives_x = dx == longest
    drives_y = dy == longest and not drives_x
    drives_z = not drives_x and not drives_y
    error_x, error_y, error_z = 2 * dx - longest, 2 * dy - longest, 2 * dz - longest
    x, y, z = start
    low = high = data[x, y, z]
    for _ in range(longest):
        if drives_x or error_x >= 0:
            x += step_x
            error_x -= 2 * longest
        if drives_y or error_y >= 0:
            y += step_y
            error_y -= 2 * longest
        if drives_z or error_z >= 0:
            z += step_z
            error_z -= 2 * longest
        error_x, error_y, error_z = error_x + 2 * dx, error_y + 2 * dy, error_z + 2 * dz
        low, high = min(low, data[x, y, z]), max(high, data[x, y, z])
    return low, high


@njit(cache=True)
def _sign(start, end):
    return 1 if end > start else -1
