"""The compiled part of IMAPA: nearest patches of each voxel of a plane, and the fusion of their labels.

The distances of a whole row of voxels, along the last axis, are computed at once. The distance of two patches is a sum
over their rows of sums over their planes, and neighbouring voxels share the rows.

The label distance of two patches is half the squared difference of their maps, one map a class. The maps of an atlas
are 1 for its label and 0 for the others, so |S - L|^2 = sum S^2 + 1 - 2 S[label]: the "misfit" of a voxel and a label,
computed beforehand.

All is in one file, because numba's cache does not see a change in another one, and in plain loops, because array code
takes long to compile.
"""

import numpy as np
from numba import njit

EPSILON = np.float32(1e-6)  # added to every distance
RIDGE = 1e-3  # of the weights: times the trace, added to the diagonal


@njit(nogil=True, cache=True)
def fuse_plane(
    x: int, images: tuple[np.ndarray, ...], zone: np.ndarray, fused: np.ndarray, half: tuple[int, int], k: int, a: float
) -> None:
    """Write the soft labels of plane x to `fused`, float32 (X, Y, Z, C), in `zone`.

    `half` are half_patch and half_window of `imapa.soft_labels`, `a` the weight of the label distance. The images,
    padded by their sum p: target, float32 (X + 2 p, Y + 2 p, Z + 2 p), intensities over its maximum; atlases,
    float32 (N, X + 2 p, Y + 2 p, Z + 2 p), on the same scale; their labels, uint8; misfit, float32
    (X + 2 p, Y + 2 p, Z + 2 p, C), of the soft labels so far with each class, unused if a is 0.
    """
    if not zone[x].any():
        return
    distance, candidate = _nearest(x, images, zone, half, k, a)
    for y in range(zone.shape[1]):
        for z in range(zone.shape[2]):
            if zone[x, y, z]:
                _fuse_voxel((x, y, z), images, fused, half, a, distance[y, z], candidate[y, z])


@njit(cache=True)
def _nearest(x, images, zone, half, k, a):
    """Find the k nearest patches of each voxel of a plane: distances and candidates (Y, Z, k), nearest first.

    A candidate is a number: the atlas, then the offset along x, y and z. Of equal distances the smaller number wins.
    """
    (target, atlases, labels, misfit), (half_patch, half_window) = images, half
    side = 2 * half_patch + 1
    ny, nz = zone.shape[1:]
    distance, candidate = np.empty((ny, nz, k), np.float32), np.zeros((ny, nz, k), np.int32)
    worst = np.empty((ny, nz), np.float32)
    first_y, last_y, first_z, last_z = ny, -1, nz, -1
    for y in range(ny):
        for z in range(nz):
            distance[y, z] = np.inf
            worst[y, z] = np.inf if zone[x, y, z] else -np.inf
            if zone[x, y, z]:
                first_y, last_y, first_z, last_z = min(first_y, y), max(last_y, y), min(first_z, z), max(last_z, z)
    n = last_z + 1 - first_z
    rows = np.zeros((side, n + 2 * half_patch), np.float32)  # of the last `side` rows, the sums over x
    total = np.zeros(n + 2 * half_patch, np.float32)
    row_distance = np.zeros(n, np.float32)
    number = -1
    for atlas in range(len(atlases)):
        for dx in range(-half_window, half_window + 1):
            for dy in range(-half_window, half_window + 1):
                for dz in range(-half_window, half_window + 1):
                    number += 1
                    for y in range(first_y - half_patch, last_y + half_patch + 1):
                        corner = (x + half_window, y + half_patch + half_window, first_z + half_window)
                        these = target, atlases[atlas], labels[atlas], misfit
                        _row(rows[(y + half_patch) % side], these, corner, (dx, dy, dz), side, a)
                        centre = y - half_patch
                        if centre >= first_y:
                            _sum_windows(rows, total, row_distance)
                            inside = slice(first_z, last_z + 1)
                            kept = distance[centre, inside], candidate[centre, inside], worst[centre, inside]
                            _keep(row_distance, number, *kept)
    return distance, candidate


@njit(cache=True)
def _row(out, images, corner, offset, side, a):
    """Sum the squared differences of a row of voxels over the planes of a patch, from `corner`."""
    target, atlas, labels, misfit = images
    x, y, z = corner
    ox, oy, oz = offset
    n = out.size
    intensity, label = np.float32(1 - a), np.float32(0.5 * a)
    out[:] = 0
    for plane in range(side):
        mine = target[x + plane, y, z : z + n]
        theirs = atlas[x + plane + ox, y + oy, z + oz : z + oz + n]
        for i in range(n):
            difference = mine[i] - theirs[i]
            out[i] += intensity * difference * difference
        if a > 0:
            costs = misfit[x + plane, y, z : z + n]
            classes = labels[x + plane + ox, y + oy, z + oz : z + oz + n]
            for i in range(n):
                out[i] += label * costs[i, classes[i]]


@njit(cache=True)
def _sum_windows(rows, total, out):
    """Sum over the rows, then over windows of as many voxels."""
    side, n = len(rows), out.size
    total[:] = EPSILON / np.float32(side)
    for row in range(side):
        for z in range(total.size):
            total[z] += rows[row, z]
    out[:] = 0
    for step in range(side):
        for z in range(n):
            out[z] += total[step + z]


@njit(cache=True)
def _keep(row_distance, number, distance, candidate, worst):
    """Put a candidate among the nearest of each voxel of a row where it belongs there."""
    n, k = distance.shape
    for z in range(n):
        d = row_distance[z]
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
def _fuse_voxel(voxel, images, fused, half, a, distance, candidate):
    (target, atlases, labels, misfit), (half_patch, half_window) = images, half
    k, window, side = candidate.size, 2 * half_window + 1, 2 * half_patch + 1
    x, y, z = voxel[0] + half_window, voxel[1] + half_window, voxel[2] + half_window  # corner of the target's patch
    corners = np.empty((k, 4), np.int64)  # of the candidates: atlas and voxel
    centre = np.empty(k, np.uint8)
    for j in range(k):
        number = candidate[j]
        ox, oy, oz = number // window**2 % window, number // window % window, number % window
        atlas, cx, cy, cz = number // window**3, voxel[0] + ox, voxel[1] + oy, voxel[2] + oz
        corners[j, 0], corners[j, 1], corners[j, 2], corners[j, 3] = atlas, cx, cy, cz
        centre[j] = labels[atlas, cx + half_patch, cy + half_patch, cz + half_patch]
    out = fused[voxel[0], voxel[1], voxel[2]]
    out[:] = 0
    if (centre == centre[0]).all():  # whatever the weights
        out[centre[0]] = 1
        return
    differences = np.empty((k, side**3))
    classes = np.empty((k, side**3), np.uint8)
    costs = np.zeros(k)  # misfit of each candidate's labels
    for j in range(k):
        atlas, cx, cy, cz = corners[j, 0], corners[j, 1], corners[j, 2], corners[j, 3]
        at = 0
        for px in range(side):
            for py in range(side):
                for pz in range(side):
                    differences[j, at] = atlases[atlas, cx + px, cy + py, cz + pz] - target[x + px, y + py, z + pz]
                    if a > 0:
                        label = labels[atlas, cx + px, cy + py, cz + pz]
                        classes[j, at] = label
                        costs[j] += misfit[x + px, y + py, z + pz, label]
                    at += 1
    weights = _bounded_weights(_gram(differences, classes, costs, a), distance)
    for j in range(k):
        out[centre[j]] += weights[j] / weights.sum()


@njit(cache=True)
def _gram(differences, classes, costs, a):
    """Inner products of the patches' differences to the target's patch: (1 - a) intensities + a labels, (k, k).

    With the misfits m, half of (S - L_i).(S - L_j) is (m[i] + m[j]) / 4, less 1/2 where the labels differ.
    """
    gram = (1 - a) * (differences @ differences.T)
    if a > 0:
        for i in range(len(costs)):
            for j in range(len(costs)):
                differing = 0
                for at in range(classes.shape[1]):
                    differing += classes[i, at] != classes[j, at]
                gram[i, j] += a * (0.25 * (costs[i] + costs[j]) - 0.5 * differing)
    return gram


@njit(cache=True)
def _bounded_weights(gram, distance):
    """Find the weights (k,) that minimise ||C w - 1|| over 0 <= w <= 1, with C = gram + 1e-3 trace(gram) I.

    The start is distance ** -0.5, at most 1, with the distances (k,) positive. Exact: the problem is badly conditioned,
    coordinate descent would need thousands of sweeps.
    """
    k, trace = len(distance), np.trace(gram)
    c, weights, aim, slopes = gram.copy(), np.empty(k), np.zeros(k), np.empty(k)
    for i in range(k):
        c[i, i] += RIDGE * trace if trace > 0 else RIDGE
        weights[i] = min(1.0, np.float64(distance[i]) ** -0.5)
        for j in range(k):
            aim[j] += c[i, j]
    _slopes(c, aim, aim, slopes)
    if weights.min() == 1.0 and slopes.max() <= 0:  # mostly so: all weights stay at 1
        return weights
    _active_set(c @ c, aim, weights)
    return weights


@njit(cache=True)
def _slopes(matrix, weights, aim, out):
    """Write M.w - aim to `out`."""
    for i in range(len(aim)):
        out[i] = -aim[i]
        for j in range(len(aim)):
            out[i] += matrix[i, j] * weights[j]


@njit(cache=True)
def _active_set(matrix, aim, weights):
    """Minimise w.M.w / 2 - aim.w over 0 <= w <= 1 from `weights`, in place (Nocedal and Wright 2006, section 16.5)."""
    k = len(aim)
    wanted, slopes, free = np.empty(k), np.empty(k), np.empty(k, np.bool_)
    for j in range(k):
        free[j] = 0 < weights[j] < 1
    for _ in range(20 * k):
        for j in range(k):
            wanted[j] = 0.0 if free[j] else weights[j]
        _slopes(matrix, wanted, aim, slopes)
        _solve(matrix, slopes, free, wanted)
        step, hit = 1.0, -1
        for j in range(k):
            if free[j] and not 0 <= wanted[j] <= 1:
                bound = 0.0 if wanted[j] < 0 else 1.0
                part = (bound - weights[j]) / (wanted[j] - weights[j])
                if part < step:
                    step, hit = part, j
        for j in range(k):
            weights[j] += step * (wanted[j] - weights[j])
        if hit >= 0:
            weights[hit] = 0.0 if wanted[hit] < 0 else 1.0
            free[hit] = False
            continue
        _slopes(matrix, weights, aim, slopes)
        release, strongest = -1, 1e-9 * aim.max()
        for j in range(k):
            pull = -slopes[j] if weights[j] <= 0 else slopes[j]
            if not free[j] and pull > strongest:
                release, strongest = j, pull
        if release < 0:
            return
        free[release] = True


@njit(cache=True)
def _solve(matrix, slopes, free, wanted):
    """Solve M.w = -slopes for the free weights alone (Cholesky); they are written to `wanted`."""
    at = np.flatnonzero(free)
    n = len(at)
    lower, x = np.empty((n, n)), np.empty(n)
    for i in range(n):
        x[i] = -slopes[at[i]]
        for j in range(i + 1):
            value = matrix[at[i], at[j]]
            for m in range(j):
                value -= lower[i, m] * lower[j, m]
            lower[i, j] = value / lower[j, j] if j < i else np.sqrt(max(value, 1e-300))
        for m in range(i):
            x[i] -= lower[i, m] * x[m]
        x[i] /= lower[i, i]
    for i in range(n - 1, -1, -1):
        for m in range(i + 1, n):
            x[i] -= lower[m, i] * x[m]
        x[i] /= lower[i, i]
        wanted[at[i]] = x[i]
