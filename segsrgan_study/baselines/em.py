"""A DrawEM-style EM of our own.

Atlas priors, one Gaussian a tissue, a class-adjacency MRF, prior relaxation and partial-volume rules, as published for
DrawEM (Makropoulos et al. 2014, doi 10.1109/TMI.2014.2322280; 2018, doi 10.1016/j.neuroimage.2018.01.054), for its nine
tissues. It is not DrawEM: it has no structures below the tissues and no post-processing, it works on intensities rather
than their logarithms, and its atlases are the study's own training subjects.

The rules are against the partial volume of CSF and grey matter, which in T2w looks like white matter: Xue et al. 2007
(doi 10.1016/j.neuroimage.2007.05.018), as used by Makropoulos et al. 2014. A rule moves the share 1 - `keep` of a
voxel's probability from one tissue to another.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from segsrgan_core.imaging.geometry import spacing_mm
from segsrgan_study.baselines.ants_worker import antspyx
from segsrgan_study.baselines.case import Case, Method
from segsrgan_study.baselines.priors import label_brain, normalised, smoothed
from segsrgan_study.progress import tell

ITERATIONS = 20
CONVERGED = 0.005  # relative change of the log-likelihood
PHASES = ("plain", "averaged", "mrf", "relaxed")
SMALLEST_VARIANCE = 1.0  # on the intensities' scale of 200
# Pairs of drawem9 tissues (0 outside) that do not touch, and those that lie deep against the outside; all others are 1.
DISTANT = {(1, 3), (1, 5), (0, 2), (2, 4), (2, 5), (5, 6), (5, 8)}
DEEP = {(0, 3), (0, 5), (0, 7), (0, 9), (3, 4), (4, 5), (4, 7), (4, 9)}
CSF, GREY, WHITE = 1, 2, 3
OUTSIDE = (0, 4)
FACES = ndimage.generate_binary_structure(3, 1).astype(np.uint8)  # a voxel and the 6 that share faces


def label(case: Case, prior_sigma_voxels: float, atlas_images: str, bias_correction: bool, **strengths) -> Nifti1Image:
    """Label an image; arguments as in `label_brain` and, `strengths`, in `expectation_maximisation`."""
    estimate = partial(expectation_maximisation, spacing_mm=spacing_mm(case.image), **strengths)
    return label_brain(case, estimate, 2, prior_sigma_voxels, atlas_images, bias_correction)


def expectation_maximisation(
    image: np.ndarray,
    inside: np.ndarray,
    priors: np.ndarray,
    numbers: list[int],
    spacing_mm: np.ndarray,
    mrf_weight: float,
    relax_factor: float,
    relax_sigma_voxels: float,
    keep: float,
) -> np.ndarray:
    """Estimate the tissues' posteriors, float32 (C, X, Y, Z) that sum to 1.

    In four phases, each until the log-likelihood rests or 20 iterations are spent in all: plain EM; posterior and prior
    averaged where they name different tissues; with the MRF; with relaxed priors. Every second iteration the
    partial-volume rules act on priors and posteriors.

    Image (X, Y, Z) of intensities from 0 to 200, mask, priors (C, X, Y, Z) and their drawem9 numbers are those of
    `label_brain`; `spacing_mm` is the voxel size along the axes. `mrf_weight` is the factor of the MRF energy
    (DrawEM: 1/3), `relax_factor` the share of the old prior that stays when it is relaxed (0.5) by posteriors smoothed
    by `relax_sigma_voxels` (2), `keep` that of `correct` (0.5); 1 switches the rules off.
    """
    from segsrgan_study.baselines.em_kernel import expectation, moments

    image, priors = np.ascontiguousarray(image, np.float32), np.ascontiguousarray(priors, np.float32)
    graph, names = adjacency(numbers), np.array(numbers)

    def faults() -> tuple[np.ndarray, ...]:
        return find_faults(np.where(inside, names[posteriors.argmax(axis=0)], 0))

    posteriors, phase, last = priors, 0, -np.inf
    for iteration in range(ITERATIONS):
        total, first, _ = moments(image, posteriors, inside, np.zeros(len(names)))
        means = first / (total + 1e-6)
        second = moments(image, posteriors, inside, means)[2]
        variances = np.maximum(second / (total + 1e-6), SMALLEST_VARIANCE).astype(np.float32)
        strength = ((mrf_weight if phase >= 2 else 0.0) / spacing_mm).astype(np.float32)
        gaussians = means.astype(np.float32), variances
        posteriors, density = expectation(image, priors, posteriors, *gaussians, graph, strength, averaged=phase >= 1)
        if iteration % 2 == 1 and keep < 1:
            found = faults()
            posteriors, priors = (correct(maps, found, numbers, keep) for maps in (posteriors, priors))
        tell(f"EM: iteration {iteration + 1} of {ITERATIONS} at most")
        now = float(np.log(density[inside] + np.float32(1e-30)).mean(dtype=float))
        if abs(now - last) < CONVERGED * abs(now):
            phase += 1
            if phase == len(PHASES):
                break
            if PHASES[phase] == "relaxed":
                mixed = relax_factor * priors + (1 - relax_factor) * smoothed(posteriors, relax_sigma_voxels)
                # a tissue keeps its share where those that touch it are near
                priors = normalised(mixed * np.tensordot((graph <= 1).astype(np.float32), mixed, axes=(0, 0)))
        last = now
    return posteriors if keep == 1 else correct(posteriors, faults(), numbers, 0.0)


def adjacency(numbers: list[int]) -> np.ndarray:
    """Return the cost of each pair of tissues as neighbours: 0 (the same), 1, 5 (distant), 10 (deep by outside)."""

    def cost(*pair: int) -> int:
        return 0 if pair[0] == pair[1] else 10 if pair in DEEP else 5 if pair in DISTANT else 1

    return np.array([[cost(min(a, b), max(a, b)) for b in numbers] for a in numbers], np.float32)


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


PARAMETERS = {"prior_sigma_voxels": 1.0, "atlas_images": "interpolated", "bias_correction": True, "mrf_weight": 1 / 3}
PARAMETERS |= {"relax_factor": 0.5, "relax_sigma_voxels": 2.0, "keep": 0.5}
METHOD = Method(
    "drawem_style_em", "DrawEM-style EM", lambda: f"own; N4 and registration by {antspyx()}", PARAMETERS, label
)
