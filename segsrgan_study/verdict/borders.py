"""The inner border of the cortex, fitted to the acquired slices: how much cortex there must be for them to look so.

Where thick slices blur a border, a network draws the cortex that it has learnt: a thin one too thick, a thick one too
thin. A slice is the mean of the tissues under it, weighted by its profile. Hence the place of the border between cortex
and white matter, and the signals of both, can be found together from the slices, whatever the contrast: a model of
mixed tissues (Van Leemput et al. 2003) with the network's probabilities in place of an atlas.
"""

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.imaging import geometry

NORMAL_MAD = 0.67449  # median absolute deviation of a unit Gaussian; scipy.stats takes 0.25 s to import
TISSUES = ("cortex", "white", "csf")
KNOWN, CORTEX, FLUID = 0.97, 0.1, 0.02  # in voxels that are fitted: least share of all three, of cortex; most of CSF
FEWEST = 2000  # of these voxels
STRIDE = 2  # in plane; every fourth voxel is enough
STEPS, LONGEST, LARGEST = 15, 1.0, 4.0  # number of steps, their length, and the bias that is not exceeded
NOISY = 0.35  # of the contrast: a larger residual is noise, which the network's borders follow
SMALL = 0.01  # change of the bias after which no further step is taken


def fitted_share(image: Nifti1Image, grid: Nifti1Image, probabilities: dict[str, np.ndarray]) -> dict[str, float]:
    """Fit the volume of the cortex that explains the slices best.

    The bias of white matter (of the logarithm of its probability, as in `Classes.calibrate`) and the signals of cortex
    and white matter, quadratics in space for the coil's field, are those of the least squared difference between
    modelled and acquired slices (Gauss-Newton), in voxels almost without CSF. Voxels that do not fit count less. The
    profile of a slice is a Gaussian as wide as the slices are apart.

    Args:
        image: thick slices, float32 (X, Y, Z), any intensities.
        grid: image whose grid the probabilities are on; its axes are parallel to those of `image`, in the same order.
        probabilities: by class, float32 (X, Y, Z).

    Returns:
        fitted: that volume over the one of the probabilities; 1 where the cortex has the right volume, above 1 where it
        must be larger. misfit: residual over the contrast of cortex and white matter. Nothing where a tissue is not
        known to the network, too little of it is seen, the noise is too strong, or hardly any cortex would be left.
    """
    if not set(TISSUES) <= set(probabilities):
        return {}
    axis = geometry.through_plane_axis(image)
    slices, blur = _slices(image, grid, axis)
    thin = tuple(slice(None) if other == axis else slice(None, None, STRIDE) for other in range(3))
    cortex, white, csf = (probabilities[name][thin] for name in TISSUES)
    rest = sum(p[thin] for name, p in probabilities.items() if name not in TISSUES) + np.float32(1e-6)
    seen = [geometry.apply_along(p, blur, axis) for p in (cortex, white, csf)]
    chosen = (sum(seen) > KNOWN) & (seen[0] > CORTEX) & (seen[2] < FLUID)
    if np.count_nonzero(chosen) < FEWEST:
        return {}
    wished, smooth = slices[thin][chosen].astype(float), _quadratics(np.argwhere(chosen))
    # Contrast: white minus cortex; 0 at first, so that the first step finds the signals alone.
    bias, contrast, weights = 0.0, np.zeros(len(wished)), np.ones(len(wished))
    for _ in range(STEPS):
        biased = white * np.float32(np.exp(bias))
        total = cortex + biased + csf + rest
        shares = cortex / total, biased / total, csf / total
        mixed, *held = (geometry.apply_along(one, blur, axis)[chosen, None] for one in (shares[0] * shares[1], *shares))
        columns = np.hstack([mixed * contrast[:, None], held[0] * smooth, held[1] * smooth, held[2]])
        weighted = columns * np.square(weights)[:, None]
        (step, *signals), *_ = np.linalg.lstsq(weighted.T @ columns, weighted.T @ wished)
        residuals = np.abs(wished - columns @ [step, *signals])
        limit = np.median(residuals) / NORMAL_MAD  # a standard deviation
        weights = limit / np.maximum(residuals, limit)
        grey, bright, _ = np.split(signals, [smooth.shape[1], -1])
        before, contrast = bias, smooth @ (bright - grey)
        bias = float(np.clip(bias + np.clip(step, -LONGEST, LONGEST), -LARGEST, LARGEST))
        if 0 < abs(bias - before) < SMALL:
            break
    misfit = float(limit / abs(np.median(contrast)))
    if misfit > NOISY or bias == LARGEST:  # no cortex is so thin: a contrast of another kind
        return {}
    total = sum(probabilities.values()) + np.float32(np.expm1(bias)) * probabilities["white"]
    fitted = (probabilities["cortex"] / (total + np.float32(1e-6))).sum() / probabilities["cortex"].sum()
    return {"fitted": float(fitted), "misfit": misfit}


def _quadratics(places: np.ndarray) -> np.ndarray:
    """Return the ten monomials of degree 0 to 2 at places (N, 3), scaled to about 1."""
    scaled = (places - places.mean(0)) / np.maximum(places.std(0), 1e-6)
    x = np.column_stack([np.ones(len(scaled)), scaled])
    return np.column_stack([x[:, i] * x[:, j] for i in range(4) for j in range(i, 4)])


def _slices(image: Nifti1Image, grid: Nifti1Image, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the slices with the grid's voxels in plane, and the operator (slices, voxels) of their profile."""
    to_grid = np.linalg.inv(grid.affine) @ image.affine
    scale, first, shape = np.ones(3), np.zeros(3), list(grid.shape)
    scale[axis], first[axis], shape[axis] = to_grid[axis, axis], to_grid[axis, 3], image.shape[axis]
    slices = geometry.resample_to(image, tuple(shape), grid.affine @ nib.affines.from_matvec(np.diag(scale), first))
    centres = first[axis] + scale[axis] * np.arange(shape[axis])
    width = max(1.0, geometry.spacing_mm(image)[axis] / geometry.spacing_mm(grid)[axis])
    return np.asarray(slices.dataobj), geometry.gaussian_matrix(grid.shape[axis], centres, width)
