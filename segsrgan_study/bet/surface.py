"""Closed surfaces and the voxels inside them."""

from dataclasses import dataclass

import numpy as np
from nibabel.affines import apply_affine
from numba import njit


@dataclass(frozen=True)
class Surface:
    """A closed triangle mesh: `vertices` float64 (V, 3) in world mm, `faces` int (F, 3), rows of `vertices`."""

    vertices: np.ndarray
    faces: np.ndarray


def fill(surface: Surface, shape: tuple[int, int, int], affine: np.ndarray) -> np.ndarray:
    """Mark the voxels whose centre lies inside a closed surface.

    A line along the third axis through each (x, y) enters and leaves the surface. Every crossing adds the direction of
    the face; the running sum along the line is the winding number, right even where the surface folds over itself.

    Args:
        surface: in world mm.
        shape: (3,) of the grid.
        affine: (4, 4), voxels to world mm.

    Returns:
        uint8 (X, Y, Z): 1 inside, 0 outside.
    """
    vertices = apply_affine(np.linalg.inv(affine), surface.vertices)
    vertices += np.array([1.1e-7, 2.3e-7, 0.0])  # so that no edge passes through the centre of a voxel
    crossings = np.zeros((shape[0], shape[1], shape[2] + 1), np.int32)
    _add_crossings(crossings, vertices, np.asarray(surface.faces, np.int64))
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
