"""The compiled part of IMAPA: nearest patches of a plane, and their weights.

Arrays are padded by `half_patch + half_window` voxels, and voxels run along the last axis, so that the distances of a whole row
are computed at once: a patch distance is a sum over three rows of sums over three planes, and neighbouring rows share them.

With `labels` (numbers 0 ... C - 1) and `soft` (C maps that sum to 1), the label distance of two patches is half the squared difference
over all maps. For two classes this is the squared difference of the one map of the paper.
"""

import numpy as np
from numba import njit, prange

EPSILON = np.float32(1e-6)  # added to every distance
RIDGE = 1e-3  # times the trace, added to the diagonal
SWEEPS = 10


@njit(parallel=True, cache=True)
def fuse_planes(
    first: int,
    last: int,
    target: np.ndarray,
    atlases: np.ndarray,
    labels: np.ndarray,
    soft: np.ndarray,
    zone: np.ndarray,
    fused: np.ndarray,
    half_patch: int,
    half_window: int,
    k: int,
    a: float,
) -> None:
    """Write the soft labels of the planes `first` ... `last - 1` to `fused`.

    Args:
        first: first plane along x.
        last: one past the last plane.
        target: float32 (X + 2 p, Y + 2 p, Z + 2 p), intensities over the target's maximum; p = half_patch + half_window.
        atlases: float32 (N, X + 2 p, Y + 2 p, Z + 2 p), on the same scale.
        labels: uint8 of the atlases' shape.
        soft: float32 (X + 2 p, Y + 2 p, Z + 2 p, C + 1), the soft labels so far and, last, the sum of their squares.
        zone: bool (X, Y, Z), voxels to label.
        fused: float32 (X, Y, Z, C), written where `zone` is true.
        half_patch: half width of a patch in voxels.
        half_window: half width of the search window in voxels.
        k: number of patches kept.
        a: weight of the label distance, in [0, 1].
    """
    for x in prange(first, last):
        if zone[x].any():
            distance, candidate = _nearest(x, target, atlases, labels, soft, zone, half_patch, half_window, k, a)
            for y in range(zone.shape[1]):
                for z in range(zone.shape[2]):
                    if zone[x, y, z]:
                        _fuse_voxel(
                            (x, y, z),
                            target,
                            atlases,
                            labels,
                            soft,
                            fused,
                            half_patch,
                            half_window,
                            a,
                            distance[y, z],
                            candidate[y, z],
                        )


@njit(cache=True)
def _nearest(x, target, atlases, labels, soft, zone, half_patch, half_window, k, a):
    """Find the k nearest patches of each voxel of a plane: distances and candidates (Y, Z, k), nearest first.

    A candidate is a number: the atlas, then the offset along x, y and z. Of equal distances the smaller number counts as nearer.
    """
    ny, nz = zone.shape[1], zone.shape[2]
    side, window = 2 * half_patch + 1, 2 * half_window + 1
    distance = np.full((ny, nz, k), np.float32(np.inf))
    candidate = np.zeros((ny, nz, k), np.int32)
    worst = np.where(zone[x], np.float32(np.inf), np.float32(-np.inf))
    rows = np.zeros((side, nz + 2 * half_patch), np.float32)  # the last `side` rows' sums over x
    total = np.zeros(nz + 2 * half_patch, np.float32)
    columns = np.flatnonzero(_any_row(zone[x]))
    first_y, last_y = columns[0], columns[-1]
    number = -1
    for atlas in range(len(atlases)):
        for dx in range(window):
            for dy in range(window):
                for dz in range(window):
                    number += 1
                    for y in range(first_y - half_patch, last_y + half_patch + 1):
                        _row(
                            rows[(y + half_patch) % side],
                            target,
                            atlases[atlas],
                            labels[atlas],
                            soft,
                            x + half_window,
                            y + half_patch + half_window,
                            (dx - half_window, dy - half_window, dz - half_window),
                            half_patch,
                            half_window,
                            a,
                        )
                        centre = y - half_patch
                        if centre >= first_y:
                            total[:] = EPSILON / np.float32(side)
                            for row in range(side):
                                for z in range(total.size):
                                    total[z] += rows[row, z]
                            _keep(total, number, distance[centre], candidate[centre], worst[centre], side)
    return distance, candidate


@njit(cache=True)
def _any_row(plane):
    found = np.zeros(plane.shape[0], np.bool_)
    for y in range(plane.shape[0]):
        found[y] = plane[y].any()
    return found


@njit(cache=True)
def _row(out, target, atlas, labels, soft, x, y, offset, half_patch, half_window, a):
    """Sum the squared differences of one row over the planes of a patch; x, y are those of its first plane and its row."""
    ox, oy, oz = offset
    side, length = 2 * half_patch + 1, out.size
    out[:] = 0
    intensity, label = np.float32(1 - a), np.float32(0.5 * a)
    for plane in range(x, x + side):
        mine = target[plane, y, half_window : half_window + length]
        theirs = atlas[plane + ox, y + oy, half_window + oz : half_window + oz + length]
        for z in range(length):
            difference = mine[z] - theirs[z]
            out[z] += intensity * difference * difference
        if a > 0:
            maps = soft[plane, y, half_window : half_window + length]
            classes = labels[plane + ox, y + oy, half_window + oz : half_window + oz + length]
            squares = maps[:, maps.shape[1] - 1]  # the last map holds the sum of the squares of the others
            for z in range(length):
                out[z] += label * (squares[z] + np.float32(1) - np.float32(2) * maps[z, classes[z]])


@njit(cache=True)
def _keep(total, number, distance, candidate, worst, side):
    """Put a candidate among the nearest of each voxel of a row where it belongs there."""
    k = distance.shape[1]
    for z in range(worst.size):
        d = total[z]
        for step in range(1, side):
            d += total[z + step]
        if d < worst[z]:
            place = k - 1
            while place > 0 and distance[z, place - 1] > d:
                distance[z, place] = distance[z, place - 1]
                candidate[z, place] = candidate[z, place - 1]
                place -= 1
            distance[z, place] = d
            candidate[z, place] = number
            worst[z] = distance[z, k - 1]


@njit(cache=True)
def _fuse_voxel(voxel, target, atlases, labels, soft, fused, half_patch, half_window, a, distance, candidate):
    k, window, side = candidate.size, 2 * half_window + 1, 2 * half_patch + 1
    pad = half_patch + half_window
    x, y, z = voxel[0] + half_window, voxel[1] + half_window, voxel[2] + half_window  # corner of the target's patch
    size = side**3
    differences = np.empty((k, size))
    classes = np.empty((k, size), np.uint8)
    centre = np.empty(k, np.int64)
    for j in range(k):
        number = candidate[j]
        oz = number % window - half_window
        oy = number // window % window - half_window
        ox = number // window**2 % window - half_window
        atlas = number // window**3
        centre[j] = labels[atlas, voxel[0] + pad + ox, voxel[1] + pad + oy, voxel[2] + pad + oz]
        at = 0
        for px in range(side):
            for py in range(side):
                for pz in range(side):
                    there = atlases[atlas, x + px + ox, y + py + oy, z + pz + oz]
                    differences[j, at] = there - target[x + px, y + py, z + pz]
                    classes[j, at] = labels[atlas, x + px + ox, y + py + oy, z + pz + oz]
                    at += 1
    same = True
    for j in range(1, k):
        same = same and centre[j] == centre[0]
    out = fused[voxel[0], voxel[1], voxel[2]]
    out[:] = 0
    if same:  # whatever the weights
        out[centre[0]] = 1
        return
    patch = soft[x : x + side, y : y + side, z : z + side]
    weights = bounded_weights(_gram(differences, classes, patch, a), distance)
    for j in range(k):
        out[centre[j]] += weights[j] / weights.sum()


@njit(cache=True)
def _gram(differences, classes, patch, a):
    """Inner products of the patches' differences to the target's patch: (1 - a) intensities + a labels, (k, k)."""
    k, size = differences.shape
    gram = np.empty((k, k))
    for i in range(k):
        for j in range(i + 1):
            total = 0.0
            for at in range(size):
                total += differences[i, at] * differences[j, at]
            gram[i, j] = (1 - a) * total
    if a > 0:
        maps = np.ascontiguousarray(patch).reshape(size, patch.shape[3])
        last = maps.shape[1] - 1
        for i in range(k):
            for j in range(i + 1):
                total = 0.0
                for at in range(size):
                    total += maps[at, last] - maps[at, classes[i, at]] - maps[at, classes[j, at]]
                    if classes[i, at] == classes[j, at]:
                        total += 1
                gram[i, j] += 0.5 * a * total
    for i in range(k):
        for j in range(i):
            gram[j, i] = gram[i, j]
    return gram


@njit(cache=True)
def bounded_weights(gram: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Minimise ||C w - 1|| over 0 <= w <= 1, with C = gram + 1e-3 trace(gram) I.

    A few sweeps of coordinate descent guess which weights lie on a bound; an active-set method goes on from there to the exact
    minimum (the problem is badly conditioned: descent alone needs thousands of sweeps).

    Args:
        gram: (k, k) inner products.
        distance: (k,), positive; the start is distance ** -0.5, at most 1.

    Returns:
        (k,) float64.
    """
    k = len(distance)
    trace = np.trace(gram)
    c = gram + np.eye(k) * (RIDGE * trace if trace > 0 else RIDGE)
    matrix, aim = c @ c, c.sum(axis=0)
    weights = np.minimum(1.0, distance.astype(np.float64) ** -0.5)
    for _ in range(SWEEPS):
        largest = 0.0
        for j in range(k):
            slope = -aim[j]
            for i in range(k):
                slope += matrix[j, i] * weights[i]
            moved = min(1.0, max(0.0, weights[j] - slope / matrix[j, j])) - weights[j]
            weights[j] += moved
            largest = max(largest, abs(moved))
        if largest == 0.0:  # mostly so at once, with all weights at 1
            return weights
    _active_set(matrix, aim, weights)
    return weights


@njit(cache=True)
def _active_set(matrix, aim, weights):
    """Minimise w.M.w / 2 - aim.w over 0 <= w <= 1 from `weights`, in place (Nocedal and Wright 2006, section 16.5)."""
    k = len(aim)
    free = (weights > 0) & (weights < 1)
    for _ in range(20 * k):
        wanted = _minimum(matrix, aim, weights, free)
        step, hit = 1.0, -1
        for j in range(k):
            if free[j] and not 0 <= wanted[j] <= 1:
                bound = 0.0 if wanted[j] < 0 else 1.0
                part = (bound - weights[j]) / (wanted[j] - weights[j])
                if part < step:
                    step, hit = part, j
        weights += step * (wanted - weights)
        if hit >= 0:
            weights[hit] = 0.0 if wanted[hit] < 0 else 1.0
            free[hit] = False
            continue
        worst, release = 1e-9 * aim.max(), -1
        for j in range(k):
            slope = -aim[j]
            for i in range(k):
                slope += matrix[j, i] * weights[i]
            pull = 0.0 if free[j] else (-slope if weights[j] <= 0 else slope)
            if pull > worst:
                worst, release = pull, j
        if release < 0:
            return
        free[release] = True


@njit(cache=True)
def _minimum(matrix, aim, weights, free):
    """Return the minimum over the free weights with the others kept (Cholesky)."""
    at = np.flatnonzero(free)
    n = at.size
    lower, x = np.zeros((n, n)), np.zeros(n)
    for i in range(n):
        right = aim[at[i]]
        for j in range(len(aim)):
            if not free[j]:
                right -= matrix[at[i], j] * weights[j]
        for j in range(i + 1):
            value = matrix[at[i], at[j]]
            for m in range(j):
                value -= lower[i, m] * lower[j, m]
            if j < i:
                lower[i, j] = value / lower[j, j]
            else:
                lower[i, i] = np.sqrt(max(value, 1e-300))
        for m in range(i):
            right -= lower[i, m] * x[m]
        x[i] = right / lower[i, i]
    wanted = weights.copy()
    for i in range(n - 1, -1, -1):
        for m in range(i + 1, n):
            x[i] -= lower[m, i] * x[m]
        x[i] /= lower[i, i]
        wanted[at[i]] = x[i]
    return wanted
