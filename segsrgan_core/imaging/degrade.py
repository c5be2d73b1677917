"""From high to low resolution and back: what a thick-slice acquisition does, and cubic-spline interpolation.

Both directions are one matrix along the slice axis. A slice is the average of the object under the slice profile
(Gaussian with full width at half maximum equal to the slice thickness, or a box of that width), centred on the slice's
position in world coordinates; slices lie edge to edge and the middle of the stack is the middle of the field of view.
"""

import math

import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import (
    apply_along,
    box_matrix,
    centred_grid,
    resample_isotropic,
    resample_to,
    spacing_mm,
    spline_matrix,
    voxel_axis,
)

FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))
PROFILES = ("gaussian", "box")


def slice_positions(n: int, voxel_mm: float, thickness_mm: float) -> np.ndarray:
    """Return the centres of the slices that cover a line of voxels, in voxels of that line.

    Args:
        n: number of voxels.
        voxel_mm: their size in mm.
        thickness_mm: slice thickness (and distance) in mm.

    Returns:
        (m,) with m the smallest number of slices that covers all n voxels.
    """
    ratio = thickness_mm / voxel_mm
    m = max(1, math.ceil(n / ratio - 1e-6))
    return (n - 1) / 2 + (np.arange(m) - (m - 1) / 2) * ratio


def profile_matrix(n: int, positions: np.ndarray, width: float, profile: str = "gaussian") -> np.ndarray:
    """Return the operator that averages voxels under the slice profile.

    Args:
        n: number of voxels.
        positions: (m,) slice centres in voxels.
        width: slice thickness in voxels: the Gaussian's FWHM or the box's width.
        profile: "gaussian" or "box".

    Returns:
        (m, n) float64; each row sums to 1.

    Raises:
        UserError: an unknown profile.
    """
    if profile == "box":
        return box_matrix(n, positions, width)
    if profile != "gaussian":
        raise UserError(f"slice profile: expected one of {PROFILES}; received {profile!r}.")
    sigma = width / FWHM_PER_SIGMA
    weights = np.exp(-0.5 * ((np.arange(n)[None] - positions[:, None]) / sigma) ** 2)
    return weights / weights.sum(axis=1, keepdims=True)


def degrade_matrices(
    n: int, voxel_mm: float, thickness_mm: float, profile: str = "gaussian"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the operators of a line of voxels to slices, and of slices back to the voxels.

    Args:
        n: number of voxels of the line.
        voxel_mm: their size in mm.
        thickness_mm: slice thickness in mm.
        profile: "gaussian" or "box".

    Returns:
        `down` (m, n) and `up` (n, m), float64. `up @ down` is what interpolation sees of the object.
    """
    positions = slice_positions(n, voxel_mm, thickness_mm)
    ratio = thickness_mm / voxel_mm
    down = profile_matrix(n, positions, ratio, profile)
    up = spline_matrix(len(positions), (np.arange(n) - positions[0]) / ratio)
    return down, up


def thick_slices(
    image: Nifti1Image, thickness_mm: float, plane: str | int = "axial", profile: str = "gaussian"
) -> Nifti1Image:
    """Simulate a thick-slice acquisition, without noise.

    Args:
        image: float32 (X, Y, Z), any orientation and spacing.
        thickness_mm: slice thickness in mm, at least the voxel size along the stack.
        plane: "axial", "coronal", "sagittal", or a voxel axis 0, 1, 2.
        profile: "gaussian" (FWHM = thickness) or "box".

    Returns:
        float32 with fewer voxels along the stack; its affine keeps every point where it was.

    Raises:
        UserError: a thickness below the voxel size, or an unknown plane or profile.
    """
    axis = voxel_axis(image, plane)
    spacing = spacing_mm(image)
    if thickness_mm < spacing[axis] - 1e-6:
        raise UserError(
            f"slice thickness: expected at least the voxel size {spacing[axis]:g} mm; received {thickness_mm:g} mm."
        )
    n = image.shape[axis]
    positions = slice_positions(n, spacing[axis], thickness_mm)
    matrix = profile_matrix(n, positions, thickness_mm / spacing[axis], profile)
    # In float64, so that rounding to integers gives the same file on every processor.
    array = apply_along(np.asarray(image.dataobj, dtype=np.float64), matrix, axis)
    spacing[axis] = thickness_mm
    return Nifti1Image(array.astype(np.float32), centred_grid(image.affine, image.shape, array.shape, spacing))


def interpolate(image: Nifti1Image, target_mm: float | None = None, like: Nifti1Image | None = None) -> Nifti1Image:
    """Interpolate a thick-slice image with cubic splines.

    Args:
        image: float32 (X, Y, Z), any orientation.
        target_mm: isotropic voxel size in mm of the result, or
        like: an image whose grid the result shall have (axes parallel).

    Returns:
        float32 on the new grid, in the same place.
    """
    if like is not None:
        return resample_to(image, like.shape, like.affine)
    if target_mm is None:
        raise ValueError("interpolate: expected target_mm or like; received neither.")
    return resample_isotropic(image, target_mm)
