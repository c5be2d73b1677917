"""From high to low resolution and back: what a thick-slice acquisition does, and cubic-spline interpolation.

Both directions are one matrix along the slice axis. A slice is the average of the object under the slice profile
(Gaussian with full width at half maximum equal to the slice thickness, or a box of that width), centred on the slice's
position in world coordinates; the middle of the stack is the middle of the field of view.
"""

import math
from typing import Literal

import numpy as np
from nibabel.nifti1 import Nifti1Image
from pydantic import Field

from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import (
    AXES,
    apply_along,
    box_matrix,
    centred_grid,
    spacing_mm,
    spline_matrix,
    voxel_axis,
)
from segsrgan_core.imaging.noise import add_rician
from segsrgan_core.settings import Section

FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))


class Simulation(Section):
    """A thick-slice acquisition. The same object makes training patches, prepared cases, patients and test images."""

    slice_mm: float = Field(gt=0, le=10)  # thickness: the Gaussian's full width at half maximum, or the box's width
    distance_mm: float | None = Field(gt=0, le=20)  # between the centres of neighbours; None: the thickness
    plane: Literal["axial", "coronal", "sagittal"]
    profile: Literal["gaussian", "box"]
    noise: float = Field(ge=0, le=0.5)  # sd of the Rician noise, a share of the brightest value of the slices
    spacing_mm: float | None = Field(ge=0.2, le=4)  # isotropic, of the high-resolution grid; None: that of the images

    @property
    def axis(self) -> int:
        """Array axis, in RAS+ order, along which the slices are stacked."""
        return AXES[self.plane]

    @property
    def step_mm(self) -> float:
        """Distance between the centres of neighbouring slices in mm."""
        return self.slice_mm if self.distance_mm is None else self.distance_mm

    def with_thickness(self, slice_mm: float) -> "Simulation":
        """Return the acquisition with another slice thickness in mm; the distance grows in proportion."""
        distance = None if self.distance_mm is None else self.distance_mm * slice_mm / self.slice_mm
        return self.model_copy(update={"slice_mm": slice_mm, "distance_mm": distance})

    def matrices(self, n: int, voxel_mm: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the operators of a line of n voxels to slices, and of slices back to the voxels.

        Returns:
            `down` (m, n) and `up` (n, m), float64. `up @ down` is what interpolation sees of the object.
        """
        positions = slice_positions(n, voxel_mm, self.step_mm)
        down = profile_matrix(n, positions, self.slice_mm / voxel_mm, self.profile)
        up = spline_matrix(len(positions), (np.arange(n) - positions[0]) / (self.step_mm / voxel_mm))
        return down, up

    def slices(self, image: Nifti1Image) -> Nifti1Image:
        """Cut an image, (X, Y, Z) in any orientation, into thick slices, float32, without noise; no point moves.

        Raises:
            UserError: a slice thickness or distance below the voxel size along the stack.
        """
        axis, spacing = voxel_axis(image, self.plane), spacing_mm(image)
        if min(self.slice_mm, self.step_mm) < spacing[axis] - 1e-6:
            said = f"{min(self.slice_mm, self.step_mm):g} mm is below the image's voxel size of {spacing[axis]:g} mm"
            raise UserError(f"slice thickness: {said} along the stack; choose thicker slices or a finer image.")
        down, _ = self.matrices(image.shape[axis], spacing[axis])
        # In float64, so that rounding to integers gives the same file on every processor.
        array = apply_along(np.asarray(image.dataobj, dtype=np.float64), down, axis)
        spacing[axis] = self.step_mm
        return Nifti1Image(array.astype(np.float32), centred_grid(image.affine, image.shape, array.shape, spacing))

    def acquire(self, image: Nifti1Image, rng: np.random.Generator, noise_sd: float | None = None) -> Nifti1Image:
        """Return the `slices` of an image with Rician noise.

        Its standard deviation is given in the image's units, or by None: the share `noise` of the brightest value.
        """
        low = self.slices(image)
        array = np.clip(np.asarray(low.dataobj), 0, None)
        sd = self.noise * float(array.max()) if noise_sd is None else noise_sd
        return Nifti1Image(add_rician(array, sd, rng), low.affine)


def slice_positions(n: int, voxel_mm: float, distance_mm: float) -> np.ndarray:
    """Return the centres (m,), in voxels, of the fewest slices that cover a line of n voxels."""
    ratio = distance_mm / voxel_mm
    m = max(1, math.ceil(n / ratio - 1e-6))
    return (n - 1) / 2 + (np.arange(m) - (m - 1) / 2) * ratio


def profile_matrix(n: int, positions: np.ndarray, width: float, profile: str) -> np.ndarray:
    """Return the operator that averages voxels under the slice profile.

    Args:
        n: number of voxels.
        positions: (m,) slice centres in voxels.
        width: slice thickness in voxels: the Gaussian's FWHM or the box's width.
        profile: "gaussian" or "box".

    Returns:
        (m, n) float64; each row sums to 1.
    """
    if profile == "box":
        return box_matrix(n, positions, width)
    sigma = width / FWHM_PER_SIGMA
    weights = np.exp(-0.5 * ((np.arange(n)[None] - positions[:, None]) / sigma) ** 2)
    return weights / weights.sum(axis=1, keepdims=True)
