"""The compiled parts of BET: one step of its surface, its normals, and the voxels inside it."""

import math

import numpy as np
from numba import njit


@njit(cache=True)
def step(data, vertices, normals, centroids, length, t2, t, tm, t98, e, f, threshold, d1, d2, *written):
    """Find how far each vertex moves, called as brainextractor calls its own, with the same sums in the same order.

    Most of its time goes into lists and arrays for each vertex, which this does without. `data` is the head (X, Y, Z);
    `vertices`, `normals` (outwards) and `centroids` (of a vertex's neighbours) are float64 (V, 3), in voxels; `length`
    is the mean distance of neighbours. `t2`, `t` and `tm` are the second percentile, the intensity between head and air
    and the median; `e` and `f` centre and steepness of the change of smoothing with the curvature; `d1` and `d2` how
    far inwards the least and the greatest intensity are sought. The last of the arrays `written` takes the moves.
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
def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return a mesh's unit normals (V, 3): those of a vertex's faces, weighted by their angles; arguments as `fill`."""
    normals = np.zeros_like(vertices)
    for face in range(len(faces)):
        for corner in range(3):
            here, after, before = faces[face, corner], faces[face, corner - 2], faces[face, corner - 1]
            x, y, z = vertices[here]
            ux, uy, uz = vertices[after, 0] - x, vertices[after, 1] - y, vertices[after, 2] - z
            vx, vy, vz = vertices[before, 0] - x, vertices[before, 1] - y, vertices[before, 2] - z
            x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
            area = np.sqrt(x**2 + y**2 + z**2)
            weight = np.arctan2(area, ux * vx + uy * vy + uz * vz) / area
            normals[here, 0] += weight * x
            normals[here, 1] += weight * y
            normals[here, 2] += weight * z
    for vertex in range(len(normals)):
        normals[vertex] /= np.sqrt((normals[vertex] ** 2).sum())
    return normals


@njit(cache=True)
def _nearest(x):
    """Round; halves downwards."""
    return math.ceil(x - 0.5)


@njit(cache=True)
def _extremes(data, start, end):
    """Least and greatest value on Bresenham's line between two voxels, both counted."""
    dx, dy, dz = abs(end[0] - start[0]), abs(end[1] - start[1]), abs(end[2] - start[2])
    step_x, step_y, step_z = np.sign(end[0] - start[0]), np.sign(end[1] - start[1]), np.sign(end[2] - start[2])
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


def fill(vertices: np.ndarray, faces: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Mark the voxels whose centre lies inside a closed triangle mesh.

    A line along the third axis through each (x, y) enters and leaves the surface. Every crossing adds the direction of
    the face; the running sum along the line is the winding number, right even where the surface folds over itself.

    Vertices are float64 (V, 3), in voxels; faces int64 (F, 3), rows of them. The mask is uint8 (X, Y, Z).
    """
    crossings = np.zeros((shape[0], shape[1], shape[2] + 1), np.int32)
    _add_crossings(crossings, vertices + np.array([1.1e-7, 2.3e-7, 0.0]), faces)  # no edge through a voxel's centre
    return (np.cumsum(crossings, axis=2)[..., :-1] != 0).astype(np.uint8)


@njit(cache=True)
def _add_crossings(crossings: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Add +1 or -1 at the first voxel above each crossing of a face and a line along the third axis."""
    nx, ny, nz = crossings.shape
    for face in range(len(faces)):
        a, b, c = vertices[faces[face, 0]], vertices[faces[face, 1]], vertices[faces[face, 2]]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
        if area == 0:
            continue
        first_x = max(0, int(np.ceil(min(a[0], b[0], c[0]))))
        last_x = min(nx - 1, int(np.floor(max(a[0], b[0], c[0]))))
        first_y = max(0, int(np.ceil(min(a[1], b[1], c[1]))))
        last_y = min(ny - 1, int(np.floor(max(a[1], b[1], c[1]))))
        for x in range(first_x, last_x + 1):
            for y in range(first_y, last_y + 1):
                # barycentric coordinates of (x, y) in the face as seen along the line
                u = ((x - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (y - a[1])) / area
                v = ((b[0] - a[0]) * (y - a[1]) - (x - a[0]) * (b[1] - a[1])) / area
                if u >= 0 and v >= 0 and u + v <= 1:
                    z = int(np.ceil(a[2] + u * (b[2] - a[2]) + v * (c[2] - a[2])))
                    crossings[x, y, min(max(z, 0), nz - 1)] += 1 if area > 0 else -1
