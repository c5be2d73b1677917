"""Rules against the partial volume of CSF and grey matter, which in T2w looks like white matter.

Xue et al. 2007 (doi 10.1016/j.neuroimage.2007.05.018), as used by Makropoulos et al. 2014. A rule moves the share
1 - `keep` of a voxel's probability from one tissue to another.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

CSF, GREY, WHITE = 1, 2, 3
OUTSIDE = (0, 4)


@dataclass(frozen=True)
class Faults:
    """Where a rule applies, bool (X, Y, Z) each.

    Attributes:
        enclosed: CSF apart from the largest piece, at least half of whose border is white.
        islands: white apart from the largest piece and smaller than half of it.
        rim: white that touches CSF and the outside.
        mixed: white that touches one of them, and grey.
    """

    enclosed: np.ndarray
    islands: np.ndarray
    rim: np.ndarray
    mixed: np.ndarray


def find_faults(labels: np.ndarray) -> Faults:
    """Find where the rules apply to labels (X, Y, Z)."""
    enclosed, islands = small_csf_in_white(labels), small_white(labels)
    labels = np.where(enclosed, WHITE, np.where(islands, CSF, labels))
    is_white = labels == WHITE
    by_csf, by_grey, by_air = (touches(np.isin(labels, kind)) for kind in (CSF, GREY, OUTSIDE))
    return Faults(enclosed, islands, is_white & by_csf & by_air, is_white & (by_csf ^ by_air) & by_grey)


def correct(maps: np.ndarray, faults: Faults, numbers: list[int], keep: float) -> np.ndarray:
    """Apply the rules.

    Enclosed CSF becomes white. Islands of white, and its rim, become CSF. Mixed white becomes grey and CSF, in the
    proportion that they have there.

    Args:
        maps: float32 (C, X, Y, Z), priors or posteriors.
        faults: of the labels at present.
        numbers: the label of each map.
        keep: share of the probability that stays (DrawEM: 0.5 while iterating, 0 at the end).

    Returns:
        Corrected maps with the same sum; as they are where CSF, cortex or white matter is not among the numbers.
    """
    if not {CSF, GREY, WHITE} <= set(numbers):
        return maps
    maps = maps.copy()
    csf, grey, white = (maps[numbers.index(number)] for number in (CSF, GREY, WHITE))
    _move(white, csf, faults.enclosed, keep)
    for source in (grey, white):
        _move(csf, source, faults.islands, keep)
    _move(csf, white, faults.rim, keep)
    moved = np.where(faults.mixed, (1 - keep) * white, 0)
    both = grey + csf
    share = np.where(both > 0, grey / np.where(both > 0, both, 1), 0.5)
    grey += share * moved
    csf += (1 - share) * moved
    white -= moved
    return maps


def small_csf_in_white(labels: np.ndarray) -> np.ndarray:
    """Find pieces of CSF, but for the largest, at least half of whose border is white; bool (X, Y, Z)."""
    pieces, sizes = _pieces(labels == CSF)
    if len(sizes) < 2:
        return np.zeros(labels.shape, bool)
    white, all_faces = np.zeros(labels.shape), np.zeros(labels.shape)
    for neighbour in neighbours(labels):
        white += neighbour == WHITE
        all_faces += neighbour != CSF
    index = np.arange(1, len(sizes) + 1)
    enclosed = ndimage.sum_labels(white, pieces, index) >= 0.5 * ndimage.sum_labels(all_faces, pieces, index)
    enclosed[np.argmax(sizes)] = False
    return np.concatenate([[False], enclosed])[pieces]


def small_white(labels: np.ndarray) -> np.ndarray:
    """Find pieces of white matter smaller than half the largest; bool (X, Y, Z)."""
    pieces, sizes = _pieces(labels == WHITE)
    if len(sizes) < 2:
        return np.zeros(labels.shape, bool)
    return np.concatenate([[False], sizes < 0.5 * sizes.max()])[pieces]


def touches(of: np.ndarray) -> np.ndarray:
    """Find voxels with at least one of their 6 neighbours in `of`; bool (X, Y, Z)."""
    return np.logical_or.reduce(neighbours(of))


def neighbours(array: np.ndarray) -> list[np.ndarray]:
    """Return the 6 neighbours of each voxel, six arrays (X, Y, Z); at the edge a voxel is its own neighbour."""
    around = np.pad(array, 1, mode="edge")
    inner = [slice(1, -1)] * 3
    shifted = []
    for axis in range(3):
        for part in (slice(0, -2), slice(2, None)):
            at = inner.copy()
            at[axis] = part
            shifted.append(around[tuple(at)])
    return shifted


def _move(target: np.ndarray, source: np.ndarray, where: np.ndarray, keep: float) -> None:
    moved = np.where(where, (1 - keep) * source, 0)
    target += moved
    source -= moved


def _pieces(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pieces, count = ndimage.label(mask)
    return pieces, np.bincount(pieces.ravel(), minlength=count + 1)[1:]
