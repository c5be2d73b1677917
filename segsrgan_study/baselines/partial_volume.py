"""Rules against the partial volume of CSF and grey matter, which in T2w looks like white matter.

Xue et al. 2007 (doi 10.1016/j.neuroimage.2007.05.018), as used by Makropoulos et al. 2014. A rule moves the share
1 - `keep` of a voxel's probability from one tissue to another.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

CSF, GREY, WHITE = 1, 2, 3
OUTSIDE = (0, 4)
FACES = ndimage.generate_binary_structure(3, 1).astype(np.uint8)  # a voxel and the 6 that share faces


def find_faults(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Find where the rules apply to labels (X, Y, Z), drawem9 numbers; four times bool (X, Y, Z).

    Enclosed: `small_csf_in_white`; islands: `small_white`; rim: white that touches CSF and the outside; mixed: white
    that touches one of them, and grey.
    """
    enclosed, islands = small_csf_in_white(labels), small_white(labels)
    labels = np.where(enclosed, WHITE, np.where(islands, CSF, labels))
    is_white = labels == WHITE
    by_csf, by_grey, by_air = (ndimage.binary_dilation(np.isin(labels, kind)) for kind in (CSF, GREY, OUTSIDE))
    return enclosed, islands, is_white & by_csf & by_air, is_white & (by_csf ^ by_air) & by_grey


def correct(maps: np.ndarray, faults: Sequence[np.ndarray], numbers: list[int], keep: float) -> np.ndarray:
    """Apply the rules to priors or posteriors, float32 (C, X, Y, Z), where there are CSF, cortex and white matter.

    Enclosed CSF becomes white. Islands of white, and its rim, become CSF. Mixed white becomes grey and CSF, in the
    proportion that they have there. The share `keep` of the probability stays (DrawEM: 0.5 while iterating, 0 at the
    end), and the sum of the maps.
    """
    if not {CSF, GREY, WHITE} <= set(numbers):
        return maps
    maps = maps.copy()
    csf, grey, white = (maps[numbers.index(number)] for number in (CSF, GREY, WHITE))
    enclosed, islands, rim, mixed = faults
    rules = (white, csf, enclosed), (csf, grey, islands), (csf, white, islands), (csf, white, rim)
    for target, source, where in rules:
        moved = np.where(where, (1 - keep) * source, 0)
        target += moved
        source -= moved
    moved = np.where(mixed, (1 - keep) * white, 0)
    both = grey + csf
    share = np.where(both > 0, grey / np.where(both > 0, both, 1), 0.5)
    grey += share * moved
    csf += (1 - share) * moved
    white -= moved
    return maps


def small_csf_in_white(labels: np.ndarray) -> np.ndarray:
    """Find pieces of CSF, but for the largest, at least half of whose border is white; bool (X, Y, Z)."""
    pieces, sizes = _pieces(labels == CSF)
    white, border = (
        np.bincount(pieces.ravel(), ndimage.convolve(of.astype(np.uint8), FACES, mode="constant").ravel())
        for of in (labels == WHITE, labels != CSF)
    )
    enclosed = white >= 0.5 * border
    enclosed[[0, sizes.argmax()]] = False
    return enclosed[pieces]


def small_white(labels: np.ndarray) -> np.ndarray:
    """Find pieces of white matter smaller than half the largest; bool (X, Y, Z)."""
    pieces, sizes = _pieces(labels == WHITE)
    return ((sizes > 0) & (sizes < 0.5 * sizes.max()))[pieces]


def _pieces(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each voxel's piece, 0 outside, and the size of each, 0 for the outside."""
    pieces, _ = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return pieces, sizes
