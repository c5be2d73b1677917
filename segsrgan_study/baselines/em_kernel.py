"""The compiled part of the DrawEM-style EM: one expectation step over an image, a row of voxels at a time."""

import numpy as np
from numba import njit

TINY = np.float32(1e-20)  # added to a density: no voxel is impossible for all tissues


@njit(cache=True)
def expectation(
    image: np.ndarray,
    priors: np.ndarray,
    before: np.ndarray,
    means: np.ndarray,
    variances: np.ndarray,
    graph: np.ndarray,
    strength: np.ndarray,
    averaged: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute posteriors float32 (C, X, Y, Z) and the density of each voxel's intensity, float32 (X, Y, Z).

    The MRF multiplies a prior by exp(-sum_k G(k, c) sum over the 6 neighbours of strength times p_k). With `averaged`,
    posterior and prior are averaged where they name different tissues.

    All are float32: the image (X, Y, Z), priors (C, X, Y, Z) that sum to 1 and `before`, the posteriors so far, p of
    the MRF; means and variances (C,) of the Gaussians; `graph` (C, C), the cost G of each pair of tissues as
    neighbours; `strength` (3,), the MRF's weight over the distance of neighbours in mm along each axis; 0 for no MRF.
    """
    tissues, nx, ny, nz = priors.shape
    posteriors = np.empty(priors.shape, np.float32)
    density = np.empty((nx, ny, nz), np.float32)
    one, two = np.float32(1), np.float32(2)
    peaks, falls = one / np.sqrt(np.float32(2 * np.pi) * variances), one / (two * variances)
    for x in range(nx):
        near = np.zeros((tissues, nz), np.float32)
        for y in range(ny):
            if strength.max() > 0:
                _neighbourhood(before, x, y, strength, near)
            for z in range(nz):
                _voxel(x, y, z, image, priors, means, peaks, falls, graph, near, averaged, posteriors, density)
    return posteriors, density


@njit(cache=True)
def _neighbourhood(before, x, y, strength, near):
    """Sum each tissue's posteriors over the 6 neighbours of a row's voxels, weighted; an edge is its own neighbour."""
    tissues, nx, ny, nz = before.shape
    for k in range(tissues):
        for z in range(nz):
            along_x = before[k, max(x - 1, 0), y, z] + before[k, min(x + 1, nx - 1), y, z]
            along_y = before[k, x, max(y - 1, 0), z] + before[k, x, min(y + 1, ny - 1), z]
            along_z = before[k, x, y, max(z - 1, 0)] + before[k, x, y, min(z + 1, nz - 1)]
            near[k, z] = strength[0] * along_x + strength[1] * along_y + strength[2] * along_z


@njit(cache=True)
def _voxel(x, y, z, image, priors, means, peaks, falls, graph, near, averaged, posteriors, density):
    """Compute the posteriors of a voxel; tissues with a prior of 0, which is most of them, cost nothing."""
    tissues = len(means)
    total, sum_of_priors = np.float32(0), np.float32(0)
    best, best_before = 0, 0
    for c in range(tissues):
        prior = priors[c, x, y, z]
        posteriors[c, x, y, z] = 0
        if prior == 0:
            continue
        energy = np.float32(0)
        for k in range(tissues):
            energy += graph[k, c] * near[k, z]
        expected = prior * np.exp(-energy) if energy != 0 else prior
        sum_of_priors += expected
        apart = image[x, y, z] - means[c]
        likelihood = peaks[c] * np.exp(-apart * apart * falls[c]) + TINY
        posteriors[c, x, y, z] = expected * likelihood
        total += posteriors[c, x, y, z]
        best_before = c if prior > priors[best_before, x, y, z] else best_before
    density[x, y, z] = total / sum_of_priors if sum_of_priors > 0 else 0
    for c in range(tissues):
        posteriors[c, x, y, z] = posteriors[c, x, y, z] / total if total > 0 else np.float32(1 / tissues)
        best = c if posteriors[c, x, y, z] > posteriors[best, x, y, z] else best
    if averaged and best != best_before:
        for c in range(tissues):
            posteriors[c, x, y, z] = (posteriors[c, x, y, z] + priors[c, x, y, z]) / 2


@njit(cache=True)
def moments(image: np.ndarray, weights: np.ndarray, inside: np.ndarray, about: np.ndarray) -> np.ndarray:
    """Sum weights (C, X, Y, Z), weighted intensities and weighted squared distances from `about` (C,) over a mask."""
    tissues, nx, ny, nz = weights.shape
    sums = np.zeros((nx, 3, tissues))
    for x in range(nx):
        for c in range(tissues):
            for y in range(ny):
                for z in range(nz):
                    if inside[x, y, z]:
                        weight, apart = weights[c, x, y, z], image[x, y, z] - about[c]
                        sums[x, 0, c] += weight
                        sums[x, 1, c] += weight * image[x, y, z]
                        sums[x, 2, c] += weight * apart * apart
    return sums.sum(axis=0)
