"""Thickness of a sheet of voxels, along the field lines of Laplace's equation."""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg

INNER, OUTER = -1, -2  # in place of the number of a neighbour
TOLERANCE, MOST_STEPS = 1e-3, 200  # mm
CIRCLING = 0.01  # share of the voxels, of which the length need not settle: their lines run in circles


def thickness_mm(sheet: np.ndarray, inside: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """Return the length of the field line from the inner to the outer boundary through each voxel of a sheet.

    Laplace's equation is solved between the boundaries (Jones et al., Human Brain Mapping 11, 2000), on the voxels of
    the sheet alone; the length follows from the field's direction by upwind differences (Yezzi and Prince, IEEE
    Transactions on Medical Imaging 22, 2003). A boundary runs between the centres of two voxels, so that it is half
    of a voxel away from both, seen along the field line.

    `sheet` is bool (X, Y, Z), False at the edges of the field, `inside` what it encloses (all else is outside),
    `spacing_mm` the voxel size along each axis. Lengths are float (N,), in the order of `sheet.nonzero()`; nan where a
    voxel lies on no line between the two boundaries of half a voxel or more, or on one that runs in a circle.
    """
    size, neighbours = np.asarray(spacing_mm, np.float32), _neighbours(sheet, inside)
    potential = _potential(neighbours, size)
    known = np.append(potential, [1.0, 0.0])  # OUTER, INNER: the last two
    slope = np.stack([(known[high] - known[low]) / size[axis] for axis, (low, high) in enumerate(neighbours)])
    norm = np.linalg.norm(slope, axis=0)
    direction = slope / np.where(norm > 0, norm, 1)
    total = _length(neighbours, direction, size, INNER) + _length(neighbours, -direction, size, OUTER)
    between = (potential > TOLERANCE) & (potential < 1 - TOLERANCE)
    return np.where(between & (total > size.min() / 2), total, np.nan)


def _neighbours(sheet: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the number of each voxel's neighbour, (axis, below or above, N); INNER or OUTER where it is none."""
    numbers = np.where(inside, INNER, OUTER).astype(np.int32)
    here = np.nonzero(sheet)
    numbers[here] = np.arange(len(here[0]))
    steps = np.eye(3, dtype=int)
    return np.array([[numbers[tuple(here + sign * step[:, None])] for sign in (-1, 1)] for step in steps])


def _potential(neighbours: np.ndarray, size: np.ndarray) -> np.ndarray:
    count = neighbours.shape[-1]
    weights = np.broadcast_to(1 / size[:, None, None] ** 2, neighbours.shape)
    inner = neighbours >= 0
    rows = np.broadcast_to(np.arange(count), neighbours.shape)[inner]
    total = weights.sum((0, 1))
    links = sparse.csr_array((weights[inner], (rows, neighbours[inner])), (count, count))
    matrix = sparse.diags_array(total) - links
    right = np.where(neighbours == OUTER, weights, 0).sum((0, 1))
    return cg(matrix, right, np.full(count, 0.5), rtol=1e-4, maxiter=MOST_STEPS)[0]


def _length(neighbours: np.ndarray, direction: np.ndarray, size: np.ndarray, start: int) -> np.ndarray:
    """Return the length of the field line from the boundary `start` to each voxel in mm."""
    behind = np.where(direction > 0, neighbours[:, 0], neighbours[:, 1])
    weights = np.abs(direction) / size[:, None]
    weights = np.where((behind >= 0) | (behind == start), weights, 0)  # not from the other boundary
    total = weights.sum(0)
    total = np.where(total > 0, total, np.inf)
    offset = np.where(behind == start, -weights * np.abs(direction) * size[:, None] / 2, 0).sum(0)
    inner = behind >= 0
    rows = np.broadcast_to(np.arange(len(total)), behind.shape)[inner]
    links = sparse.csr_array(((weights / total)[inner], (rows, behind[inner])), (len(total), len(total)))
    fixed = (1 + offset) / total
    length = fixed
    for _ in range(MOST_STEPS):
        before, length = length, fixed + links @ length
        moving = np.abs(length - before) > TOLERANCE
        if np.mean(moving) < CIRCLING:
            break
    return np.where(moving, np.nan, length)
