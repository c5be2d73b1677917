"""Grids and world coordinates.

An image's grid is its shape and its affine (nibabel's convention: voxel centres at integer coordinates, world in mm,
RAS+). Resampling is separable: the axes of the new grid are parallel to those of the old one, so that an interpolation
is one small matrix per axis. World coordinates are kept: the centre of the field of view does not move.
"""

import math
from functools import lru_cache
from threading import Lock

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage
from threadpoolctl import ThreadpoolController

from segsrgan_core.errors import UserError

AXES = {"sagittal": 0, "coronal": 1, "axial": 2}
FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))
NOTHING = 1e-12  # weight that float32 cannot tell: the far tails of a spline, which as denormal numbers are very slow
_BLAS = ThreadpoolController()
_ALONE = Lock()  # the number of threads is the process's, not the caller's


def spacing_mm(image: Nifti1Image) -> np.ndarray:
    """Return the voxel size along the three voxel axes, float64 (3,), in mm."""
    return nib.affines.voxel_sizes(image.affine)


def voxel_volume_ml(image: Nifti1Image) -> float:
    """Return the volume of one voxel in ml."""
    return float(abs(np.linalg.det(image.affine[:3, :3])) / 1000.0)


def voxel_axis(image: Nifti1Image, plane: str) -> int:
    """Return the voxel axis along which slices are stacked that are "axial", "coronal" or "sagittal" in the world."""
    orientation = nib.orientations.io_orientation(image.affine)
    return int(np.flatnonzero(orientation[:, 0] == AXES[plane])[0])


def through_plane_axis(image: Nifti1Image) -> int:
    """Return the voxel axis with the largest spacing (the last one where all are equal)."""
    spacing = np.round(spacing_mm(image), 4)
    return int(2 - np.argmax(spacing[::-1]))


def slice_plane(image: Nifti1Image) -> str:
    """Return "axial", "coronal" or "sagittal": the plane in the world of the slices along `through_plane_axis`."""
    orientation = nib.orientations.io_orientation(image.affine)
    return list(AXES)[int(orientation[through_plane_axis(image), 0])]


def centred_grid(affine: np.ndarray, shape: tuple[int, ...], new_shape, new_spacing_mm) -> np.ndarray:
    """Return the affine (4, 4) of another grid, of `new_shape` and `new_spacing_mm`, with the same axes and centre."""
    scale = np.asarray(new_spacing_mm) / nib.affines.voxel_sizes(affine)
    first = (np.asarray(shape) - 1) / 2 - scale * (np.asarray(new_shape) - 1) / 2
    return affine @ nib.affines.from_matvec(np.diag(scale), first)


def apply_along(array: np.ndarray, matrix: np.ndarray, axis: int) -> np.ndarray:
    """Multiply every line of an array (..., n, ...) along one axis by a matrix (m, n): (..., m, ...) in its dtype.

    It runs on one thread: with another number of threads BLAS rounds differently, and a registration amplifies that.
    """
    matrix = np.where(np.abs(matrix) < NOTHING, 0, matrix).astype(array.dtype)
    before, after = array.shape[:axis], array.shape[axis + 1 :]
    with _ALONE, _BLAS.limit(limits=1, user_api="blas"):  # in an order that copies nothing
        product = matrix @ array.reshape(*before, -1, math.prod(after)) if after else array @ matrix.T
    return product.reshape(*before, -1, *after)


def spline_matrix(n: int, positions: np.ndarray, order: int = 3) -> np.ndarray:
    """Return the linear operator of spline interpolation along one axis, (m, n) float64; each row sums to 1.

    The n samples lie at 0 ... n - 1; for positions (m,) outside, they are mirrored at the edge of the field. The order
    is 0 (nearest), 1 (linear) or 3 (cubic spline).
    """
    return _spline_matrix(n, tuple(np.round(np.asarray(positions, float), 9)), order).copy()


@lru_cache(maxsize=256)
def _spline_matrix(n: int, positions: tuple[float, ...], order: int) -> np.ndarray:
    columns = [ndimage.map_coordinates(unit, [positions], order=order, mode="reflect") for unit in np.eye(n)]
    return np.stack(columns, axis=1)


def box_matrix(n: int, positions: np.ndarray, width: float) -> np.ndarray:
    """Return the operator (m, n) that averages n samples over boxes of a width around positions (m,), in voxels.

    Between the samples the object is their cubic spline; with a step function a point would move by some hundredths
    of a millimetre. Each row sums to 1.
    """
    k = max(8, int(np.ceil(4 * width)))
    within = width * ((np.arange(k) + 0.5) / k - 0.5)
    points = (np.asarray(positions, float)[:, None] + within).ravel()
    return spline_matrix(n, points).reshape(-1, k, n).mean(axis=1)


def gaussian_matrix(n: int, positions: np.ndarray, width: float) -> np.ndarray:
    """Return `box_matrix` with Gaussians in place of the boxes, of that width at half maximum."""
    weights = np.exp(-0.5 * ((np.arange(n)[None] - positions[:, None]) / (width / FWHM_PER_SIGMA)) ** 2)
    return weights / weights.sum(axis=1, keepdims=True)


def isotropic_grid(image: Nifti1Image, target_mm: float) -> tuple[tuple[int, ...], np.ndarray]:
    """Return shape and affine of the isotropic grid (voxel size in mm) that covers an image, with its centre."""
    extent = np.asarray(image.shape) * spacing_mm(image)
    shape = tuple(int(n) for n in np.maximum(1, np.round(extent / target_mm)))
    return shape, centred_grid(image.affine, image.shape, shape, (target_mm,) * 3)


def resample_isotropic(image: Nifti1Image, target_mm: float) -> Nifti1Image:
    """Resample an image to isotropic voxels of a size in mm, see `resample_to`; the centre of the field stays."""
    return resample_to(image, *isotropic_grid(image, target_mm))


def resample_to(image: Nifti1Image, shape: tuple[int, ...], affine: np.ndarray, order: int = 3) -> Nifti1Image:
    """Resample an image, float32 (X, Y, Z), to the grid of a shape (3,) and an affine (4, 4), parallel to its own.

    Axes that become finer are interpolated, by splines of an order. Axes that become coarser by a factor r are averaged
    over sqrt(r^2 - 1) old voxels: the variances of the old voxel and of this box add up to r^2 / 12, that of the new
    voxel. An image whose voxels are wider by a rounding error of its header therefore stays as sharp as it is. A
    UserError tells that the axes of the two grids are not parallel.
    """
    to_source = np.linalg.inv(image.affine) @ affine
    scale, offset = np.diag(to_source)[:3], to_source[:3, 3]
    if np.abs(to_source[:3, :3] - np.diag(scale)).max() > 1e-4 or np.any(scale <= 0):
        raise UserError("resampling: the axes of the two images are not parallel; resample one of them first.")
    array = np.asarray(image.dataobj, dtype=np.float32)
    for axis in range(3):
        positions = offset[axis] + scale[axis] * np.arange(shape[axis])
        if shape[axis] == array.shape[axis] and np.allclose(positions, np.arange(shape[axis]), atol=1e-6):
            continue
        n = array.shape[axis]
        width = math.sqrt(max(0.0, scale[axis] ** 2 - 1))
        matrix = box_matrix(n, positions, width) if width > 0.01 else spline_matrix(n, positions, order)
        array = apply_along(array, matrix, axis)
    return Nifti1Image(array, affine)


def resample_like(image: Nifti1Image, like: Nifti1Image) -> Nifti1Image:
    """Resample an image to the grid of another image whose axes are parallel, see `resample_to`."""
    return resample_to(image, like.shape, like.affine)
