"""The weights of IMAPA's patches: bounded least squares, exact and compiled."""

import numpy as np
from numba import njit

RIDGE = 1e-3  # times the trace, added to the diagonal
SWEEPS = 10  # of coordinate descent before the active-set method


@njit(cache=True)
def bounded_weights(gram: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Find the weights (k,) that minimise ||C w - 1|| over 0 <= w <= 1, with C = gram + 1e-3 trace(gram) I.

    A few sweeps of coordinate descent guess which weights lie on a bound; an active-set method goes on from there to
    the exact minimum (the problem is badly conditioned: descent alone needs thousands of sweeps). The start is
    distance ** -0.5, at most 1, with the distances (k,) positive.
    """
    k = len(distance)
    trace = np.trace(gram)
    c = gram + np.eye(k) * (RIDGE * trace if trace > 0 else RIDGE)
    aim = c.sum(axis=0)
    weights = np.minimum(1.0, distance.astype(np.float64) ** -0.5)
    if weights.min() == 1.0 and (c @ aim <= aim).all():  # mostly so: all weights stay at 1
        return weights
    matrix = c @ c
    slopes = matrix @ weights - aim
    for _ in range(SWEEPS):
        largest = 0.0
        for j in range(k):
            moved = min(1.0, max(0.0, weights[j] - slopes[j] / matrix[j, j])) - weights[j]
            if moved != 0.0:
                weights[j] += moved
                slopes += moved * matrix[j]
                largest = max(largest, abs(moved))
        if largest == 0.0:
            return weights
    _active_set(matrix, aim, weights)
    return weights


@njit(cache=True)
def _active_set(matrix, aim, weights):
    """Minimise w.M.w / 2 - aim.w over 0 <= w <= 1 from `weights`, in place (Nocedal and Wright 2006, section 16.5)."""
    k = len(aim)
    free = (weights > 0) & (weights < 1)
    for _ in range(20 * k):
        at = np.flatnonzero(free)
        wanted = np.where(free, 0.0, weights)
        wanted[at] = _solve(matrix[at][:, at], (aim - matrix @ wanted)[at])
        step, hit = 1.0, -1
        for j in at:
            if not 0 <= wanted[j] <= 1:
                bound = 0.0 if wanted[j] < 0 else 1.0
                part = (bound - weights[j]) / (wanted[j] - weights[j])
                if part < step:
                    step, hit = part, j
        weights += step * (wanted - weights)
        if hit >= 0:
            weights[hit] = 0.0 if wanted[hit] < 0 else 1.0
            free[hit] = False
            continue
        slopes = matrix @ weights - aim
        pull = np.where(free, 0.0, np.where(weights <= 0, -slopes, slopes))
        release = pull.argmax()
        if pull[release] <= 1e-9 * aim.max():
            return
        free[release] = True


@njit(cache=True)
def _solve(matrix, x):
    """Return the solution of a small positive definite system with the right side `x` (Cholesky), in place of both."""
    n = len(x)
    for i in range(n):
        for j in range(i + 1):
            value = matrix[i, j]
            for m in range(j):
                value -= matrix[i, m] * matrix[j, m]
            matrix[i, j] = value / matrix[j, j] if j < i else np.sqrt(max(value, 1e-300))
        for m in range(i):
            x[i] -= matrix[i, m] * x[m]
        x[i] /= matrix[i, i]
    for i in range(n - 1, -1, -1):
        for m in range(i + 1, n):
            x[i] -= matrix[m, i] * x[m]
        x[i] /= matrix[i, i]
    return x
