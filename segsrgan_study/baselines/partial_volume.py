"""Rules against the partial volume of CSF and grey matter, which in T2w looks like white matter.

Xue et al. 2007 (doi 10.1016/j.neuroimage.2007.05.018), as used by Makropoulos et al. 2014. A rule moves the share
1 - `keep` of a voxel's probability from one tissue to another.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

CSF, GREY, WHITE = 1, 2, 3
OUTSIDE = (0, 4)
NEIGHBOURS = ndimage.generate_binary_structure(3, 1) & (np.indices((3, 3, 3)) != 1).any(
    axis=0
)  # the 6 that share faces


@dataclass(frozen=True)
class Faults:
    """Where each rule applies, bool (X, Y, Z).

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
    """Find where the rules apply to labels (X, Y, Z), drawem9 numbers."""
    enclosed, islands = small_csf_in_white(labels), small_white(labels)
    labels = np.where(enclosed, WHITE, np.where(islands, CSF, labels))
    is_white = labels == WHITE
    by_csf, by_grey, by_air = (ndimage.binary_dilation(np.isin(labels, kind)) for kind in (CSF, GREY, OUTSIDE))
    return Faults(enclosed, islands, is_white & by_csf & by_air, is_white & (by_csf ^ by_air) & by_grey)


def correct(maps: np.ndarray, faults: Faults, numbers: list[int], keep: float) -> np.ndarray:
    """Apply the rules.

    Enclosed CSF becomes white. Islands of white, and its rim, become CSF. Mixed white becomes grey and CSF, in the
    proportion that they have there.

    Args:
        maps: float32 (C, X, Y, Z), priors or posteriors.
        faults: of the labels at present.
        numbers: the drawem9 number of each map.
        keep: share of the probability that stays, 0 to 1 (DrawEM: 0.5 while iterating, 0 at the end).

    Returns:
        Corrected maps with the same sum; `maps` itself where CSF, cortex or white matter is not among the numbers.
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
    white, border = (
        ndimage.sum_labels(_count_neighbours(of), pieces, np.arange(1, len(sizes) + 1))
        for of in (labels == WHITE, labels != CSF)
    )
    enclosed = white >= 0.5 * border
    enclosed[np.argmax(sizes)] = False
    return np.concatenate([[False], enclosed])[pieces]


def small_white(labels: np.ndarray) -> np.ndarray:
    """Find pieces of white matter smaller than half the largest; bool (X, Y, Z)."""
    pieces, sizes = _pieces(labels == WHITE)
    if len(sizes) < 2:
        return np.zeros(labels.shape, bool)
    return np.concatenate([[False], sizes < 0.5 * sizes.max()])[pieces]


def _count_neighbours(of: np.ndarray) -> np.ndarray:
    return ndimage.convolve(of.astype(np.uint8), NEIGHBOURS.astype(np.uint8), mode="constant")


def _move(target: np.ndarray, source: np.ndarray, where: np.ndarray, keep: float) -> None:
    moved = np.where(where, (1 - keep) * source, 0)
    target += moved
    source -= moved


def _pieces(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pieces, count = ndimage.label(mask)
    return pieces, np.bincount(pieces.ravel(), minlength=count + 1)[1:]
