"""The compiled part of IMAPA: nearest patches of each voxel of a plane, and the fusion of their labels.

The distances of a whole row of voxels, along the last axis, are computed at once. The distance of two patches is a sum
over their rows of sums over their planes, and neighbouring voxels share the rows.

The label distance of two patches is half the squared difference of their maps, one map a class. The maps of an atlas
are 1 for its label and 0 for the others, so |S - L|^2 = sum S^2 + 1 - 2 S[label]: the "misfit" of a voxel and a label,
computed beforehand.
"""

import numpy as np
from numba import njit, prange

from segsrgan_study.baselines.imapa_weights import bounded_weights

EPSILON = np.float32(1e-6)  # added to every distance


@njit(parallel=True, cache=True)
def fuse_planes(
    first: int,
    last: int,
    target: np.ndarray,
    atlases: np.ndarray,
    labels: np.ndarray,
    misfit: np.ndarray,
    zone: np.ndarray,
    fused: np.ndarray,
    half_patch: int,
    half_window: int,
    k: int,
    a: float,
) -> None:
    """Write the soft labels of the planes `first` ... `last - 1` along x to `fused`, float32 (X, Y, Z, C), in `zone`.

    For the parameters see `imapa.soft_labels`; `a` is the weight of the label distance. The arrays, padded by
    p = half_patch + half_window: target, float32 (X + 2 p, Y + 2 p, Z + 2 p), intensities over its maximum; atlases,
    float32 (N, X + 2 p, Y + 2 p, Z + 2 p), on the same scale; their labels, uint8; misfit, float32
    (X + 2 p, Y + 2 p, Z + 2 p, C), of the soft labels so far with each class, unused if a is 0.
    """
    for x in prange(first, last):
        if zone[x].any():
            distance, candidate = _nearest(x, target, atlases, labels, misfit, zone, half_patch, half_window, k, a)
            images = target, atlases, labels, misfit
            for y in range(zone.shape[1]):
                for z in range(zone.shape[2]):
                    if zone[x, y, z]:
                        nearest = distance[y, z], candidate[y, z]
                        _fuse_voxel((x, y, z), images, fused, half_patch, half_window, a, nearest)


@njit(cache=True)
def _nearest(x, target, atlases, labels, misfit, zone, half_patch, half_window, k, a):
    """Find the k nearest patches of each voxel of a plane: distances and candidates (Y, Z, k), nearest first.

    A candidate is a number: the atlas, then the offset along x, y and z. Of equal distances the smaller number wins.
    """
    side = 2 * half_patch + 1
    distance = np.full((*zone.shape[1:], k), np.float32(np.inf))
    candidate = np.zeros((*zone.shape[1:], k), np.int32)
    worst = np.where(zone[x], np.float32(np.inf), np.float32(-np.inf))
    ys, zs = np.nonzero(zone[x])
    first_y, last_y, first_z, last_z = ys.min(), ys.max(), zs.min(), zs.max()
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
                        images = target, atlases[atlas], labels[atlas], misfit
                        _row(rows[(y + half_patch) % side], images, corner, (dx, dy, dz), side, a)
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
    out[:] = total[:n]
    for step in range(1, side):
        for z in range(n):
            out[z] += total[z + step]


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
def _fuse_voxel(voxel, images, fused, half_patch, half_window, a, nearest):
    target, atlases, labels, misfit = images
    distance, candidate = nearest
    k, window, side = candidate.size, 2 * half_window + 1, 2 * half_patch + 1
    x, y, z = voxel[0] + half_window, voxel[1] + half_window, voxel[2] + half_window  # corner of the target's patch
    corners = np.empty((k, 4), np.int64)  # of the candidates: atlas and voxel
    centre = np.empty(k, np.uint8)
    for j in range(k):
        number = candidate[j]
        ox, oy, oz = number // window**2 % window, number // window % window, number % window
        corners[j] = number // window**3, voxel[0] + ox, voxel[1] + oy, voxel[2] + oz
        atlas, cx, cy, cz = corners[j]
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
        atlas, cx, cy, cz = corners[j]
        at = 0
        for px in range(side):
            for py in range(side):
                for pz in range(side):
                    there = atlases[atlas, cx + px, cy + py, cz + pz]
                    differences[j, at] = there - target[x + px, y + py, z + pz]
                    if a > 0:
                        label = labels[atlas, cx + px, cy + py, cz + pz]
                        classes[j, at] = label
                        costs[j] += misfit[x + px, y + py, z + pz, label]
                    at += 1
    weights = bounded_weights(_gram(differences, classes, costs, a), distance)
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
