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
from segsrgan_core.imaging import geometry
from segsrgan_core.imaging.noise import add_rician
from segsrgan_core.settings import Section


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
        return geometry.AXES[self.plane]

    @property
    def step_mm(self) -> float:
        """Distance between the centres of neighbouring slices in mm."""
        return self.slice_mm if self.distance_mm is None else self.distance_mm

    def with_thickness(self, slice_mm: float) -> "Simulation":
        """Return the acquisition with another slice thickness in mm; the distance grows in proportion."""
        distance = None if self.distance_mm is None else self.distance_mm * slice_mm / self.slice_mm
        return self.model_copy(update={"slice_mm": slice_mm, "distance_mm": distance})

    def matrices(self, n: int, voxel_mm: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the operators of a line of n voxels to the fewest slices that cover it, and of slices back to voxels.

        `down` (m, n) averages the voxels under the slice profile, `up` (n, m) interpolates; both are float64, and each
        row of `down` sums to 1. `up @ down` is what interpolation sees of the object.
        """
        ratio, width = self.step_mm / voxel_mm, self.slice_mm / voxel_mm
        m = max(1, math.ceil(n / ratio - 1e-6))
        centres = (n - 1) / 2 + (np.arange(m) - (m - 1) / 2) * ratio
        profile = geometry.box_matrix if self.profile == "box" else geometry.gaussian_matrix
        down = profile(n, centres, width)
        return down, geometry.spline_matrix(m, (np.arange(n) - centres[0]) / ratio)

    def slices(self, image: Nifti1Image) -> Nifti1Image:
        """Cut an image, (X, Y, Z) in any orientation, into thick slices, float32, without noise; no point moves.

        A UserError tells of a slice thickness or distance below the voxel size along the stack.
        """
        axis, spacing = geometry.voxel_axis(image, self.plane), geometry.spacing_mm(image)
        if min(self.slice_mm, self.step_mm) < spacing[axis] - 1e-6:
            said = f"{min(self.slice_mm, self.step_mm):g} mm is below the image's voxel size of {spacing[axis]:g} mm"
            raise UserError(f"slice thickness: {said} along the stack; choose thicker slices or a finer image.")
        down, _ = self.matrices(image.shape[axis], spacing[axis])
        # In float64, so that rounding to integers gives the same file on every processor.
        array = geometry.apply_along(np.asarray(image.dataobj, dtype=np.float64), down, axis)
        spacing[axis] = self.step_mm
        grid = geometry.centred_grid(image.affine, image.shape, array.shape, spacing)
        return Nifti1Image(array.astype(np.float32), grid)

    def acquire(self, image: Nifti1Image, rng: np.random.Generator, noise_sd: float | None = None) -> Nifti1Image:
        """Return the `slices` of an image with Rician noise.

        Its standard deviation is given in the image's units, or by None: the share `noise` of the brightest value.
        """
        low = self.slices(image)
        array = np.clip(np.asarray(low.dataobj), 0, None)
        sd = self.noise * float(array.max()) if noise_sd is None else noise_sd
        return Nifti1Image(add_rician(array, sd, rng), low.affine)
