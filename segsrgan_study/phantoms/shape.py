"""One phantom's shape: its traits, its warp from the scanner's space to the template, the grid around its head."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation
from scipy.special import ndtri

from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import apply_along, spline_matrix
from segsrgan_study.phantoms.anatomy import Anatomy

Rng = np.random.Generator
KNOT_MM = 3.2  # the warp is computed on this grid, whatever the image's voxel size
REACH_MM = (80.0, 100.0, 80.0)
CENTRE_MM = np.array([0.0, -17.0, 5.0])  # MNI point that the head turns around
SQUARINGS = 5
LEAST_JACOBIAN = 0.2
HEAD_MM = 6.0  # skull and scalp


@dataclass(frozen=True)
class Traits:
    """What makes a phantom different from the others."""

    age_weeks: float  # postmenstrual, at the scan
    to_template: np.ndarray  # (3, 3) MNI mm per scanner mm: size, proportions, pose
    shift_mm: np.ndarray  # (3,) scanner coordinates of the head's centre
    thickness_mm: float  # mean of the cortex
    gap_mm: float  # how much wider (or narrower) than the template's its sulci are, on each bank
    shell_mm: float  # width of the CSF around the brain

    @property
    def scale(self) -> float:
        """Scanner mm per MNI mm."""
        return float(np.linalg.det(self.to_template) ** (-1 / 3))


def draw_traits(
    index: int, ages_weeks: tuple[float, float], size_sd: float, thickness_sd: float, template_ml: float, rng: Rng
) -> Traits:
    """Draw a phantom's traits, by ages and standard deviations of `cohort.PhantomCohort` and the template's tissue.

    Age and size follow a low-discrepancy sequence over the index, so that a small cohort already has the spread of a
    large one and a subject does not depend on how many there are.
    """
    u_age, u_size, u_cortex = ((0.5 + (index + 1) * step) % 1 for step in (0.8191725134, 0.6710436067, 0.5497004779))
    age = ages_weeks[0] + (ages_weeks[1] - ages_weeks[0]) * u_age
    tissue_ml = (325 + 19 * (age - 37)) * np.exp(size_sd * np.clip(ndtri(u_size), -2, 2))
    scale = (tissue_ml / template_ml) ** (1 / 3)
    stretch = np.exp(rng.normal(0, [0.035, 0.035, 0.03]))
    stretch /= stretch.prod() ** (1 / 3)
    pose = Rotation.from_euler("xyz", rng.normal(0, [5, 3, 3]), degrees=True)
    return Traits(
        age_weeks=round(float(age), 1),
        to_template=np.diag(1 / (scale * stretch)) @ pose.as_matrix(),
        shift_mm=rng.normal(0, [0.7, 5, 5]),
        thickness_mm=float(1.6 * scale / 0.62 * np.exp(thickness_sd * ndtri(u_cortex))),
        gap_mm=float(rng.normal(0.0, 0.06)),
        shell_mm=float(rng.uniform(0.3, 1.7)),
    )


def smooth_noise(shape: tuple[int, ...], spacing_mm: float, wavelength_mm: float, rng: Rng) -> np.ndarray:
    """Draw a cubic spline through normal numbers, `wavelength_mm` apart: float64 (X, Y, Z), mean 0, sd about 0.7."""
    step = max(wavelength_mm / spacing_mm, 1.0)
    field = rng.standard_normal([int(np.ceil(n / step)) + 2 for n in shape])
    return spline_at(field, [0.5 + np.arange(n) / step for n in shape])


def spline_at(field: np.ndarray, positions: Sequence[np.ndarray]) -> np.ndarray:
    """Return the cubic spline of a field (X, Y, Z) on a grid: the positions along each axis, in voxels of the field."""
    for axis, at in enumerate(positions):
        field = apply_along(field, spline_matrix(field.shape[axis], at), axis)
    return field


def draw_warp(warp_mm: float, rng: Rng) -> np.ndarray:
    """Draw a smooth invertible displacement: the exponential of a random velocity (Arsigny et al. 2006).

    `warp_mm` is the standard deviation of the velocity's coarse part; UserError where the warp folds or nearly does.
    Displacements are float64 (3, X, Y, Z) in mm on the knots: KNOT_MM apart, from -REACH_MM to REACH_MM.
    """
    shape = tuple(int(2 * reach / KNOT_MM) + 1 for reach in REACH_MM)
    scales = ((34.0, warp_mm / 0.7), (17.0, warp_mm / 2 / 0.7))
    velocity = [sum(sd * smooth_noise(shape, KNOT_MM, wave, rng) for wave, sd in scales) for _ in range(3)]
    displacement = np.stack(velocity) / 2**SQUARINGS
    knots = np.indices(shape, dtype=float)
    for _ in range(SQUARINGS):
        at = knots + displacement / KNOT_MM
        displacement += [ndimage.map_coordinates(part, at, order=1, mode="nearest") for part in displacement]
    gradients = [np.gradient(part) for part in knots + displacement / KNOT_MM]
    least = np.linalg.det(np.moveaxis(gradients, (0, 1), (-2, -1))).min()  # Jacobian determinant of the warp
    if not least > LEAST_JACOBIAN:
        raise UserError(f"phantom's warp: a Jacobian determinant of {least:.3g} (folded); lower warp_mm.")
    return displacement


def place(
    anatomy: Anatomy, traits: Traits, displacement: np.ndarray, spacing_mm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Lay the image's grid around the head, moved by `draw_warp`, and map it to the template.

    Returns the affine (4, 4), RAS+, isotropic, and MNI coordinates of the voxel centres, float64 (3, X, Y, Z), in mm.
    """
    low, high = _field_of_view(anatomy, traits, displacement)
    shape = tuple(int(n) for n in np.ceil((high - low) / spacing_mm))
    axes = [start + spacing_mm * np.arange(n) for start, n in zip(low, shape, strict=True)]
    at = [(axis + reach) / KNOT_MM for axis, reach in zip(axes, REACH_MM, strict=True)]
    moved = np.stack([spline_at(part, at) for part in displacement]) + np.meshgrid(*axes, indexing="ij")
    affine = np.diag([spacing_mm] * 3 + [1.0])
    affine[:3, 3] = low
    return affine, _to_template(traits, moved)


def _to_template(traits: Traits, points: np.ndarray) -> np.ndarray:
    x, y, z = (axis - shift for axis, shift in zip(points, traits.shift_mm, strict=True))
    # Written out, as the last bits of a BLAS product depend on the machine.
    return np.stack([c + a[0] * x + a[1] * y + a[2] * z for a, c in zip(traits.to_template, CENTRE_MM, strict=True)])


def _field_of_view(anatomy: Anatomy, traits: Traits, displacement: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The box of the head above the skull's base, in scanner mm, with a little air."""
    reach = np.asarray(REACH_MM).reshape(3, 1, 1, 1)
    knots = np.indices(displacement.shape[1:]) * KNOT_MM - reach
    outside = anatomy.sample("skull", _to_template(traits, knots + displacement)) * traits.scale - traits.shell_mm
    head, inside = (np.argwhere(outside < limit) * KNOT_MM - reach.ravel() for limit in (HEAD_MM, 0.0))
    low = np.round([*(head.min(axis=0)[:2] - 4.0), inside[:, 2].min() - 4.0], 1)
    return low, head.max(axis=0) + 4.0
