"""Left and right: the content of the skull, split along the plane of symmetry of the head."""

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage, optimize

LEFT, RIGHT = 1, 2
OUTSIDE_THE_SKULL = (0, 4)  # of drawem9
SAMPLE_MM = 4.0


def intracranial(labels: np.ndarray) -> np.ndarray:
    """Return the content of the skull, bool (X, Y, Z), out of drawem9 numbers, uint8.

    Holes are filled: deep structures without a label are holes.
    """
    return ndimage.binary_fill_holes(~np.isin(labels, OUTSIDE_THE_SKULL))


def largest_part(mask: np.ndarray) -> np.ndarray:
    """Return the largest connected part of a mask, bool (X, Y, Z), with its holes filled."""
    parts, count = ndimage.label(mask)
    if count == 0:
        return np.zeros(mask.shape, bool)
    return ndimage.binary_fill_holes(parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]))


def split_hemispheres(image: Nifti1Image, mask: np.ndarray, votes: np.ndarray | None = None) -> np.ndarray:
    """Split a mask along the `mirror_plane` of a head: uint8 (X, Y, Z), 1 left, 2 right (RAS+), 0 outside the mask."""
    normal, offset_mm = mirror_plane(image, mask, votes)
    points = nib.affines.apply_affine(image.affine, np.argwhere(mask))
    result = np.zeros(mask.shape, np.uint8)
    result[mask] = np.where(points @ normal < offset_mm, LEFT, RIGHT)
    return result


def mirror_plane(image: Nifti1Image, mask: np.ndarray, votes: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """Return the plane n . x = d that best mirrors an image onto itself and separates left from right votes.

    It minimises the mean squared difference between the image and its mirror image, over the variance of the image,
    minus the mean agreement with the votes, from the sagittal plane through the centre of the mask on. Returned are the
    unit normal (3,) in world coordinates, pointing right, and d in mm.

    Args:
        image: (X, Y, Z), any orientation.
        mask: bool (X, Y, Z), voxels that are compared.
        votes: float32 (X, Y, Z), from -1 (left) to 1 (right), such as probability of right minus that of left; or None.
    """
    to_voxel = np.linalg.inv(image.affine)
    spacing = nib.affines.voxel_sizes(image.affine)
    masked = np.where(mask, np.asarray(image.dataobj, np.float32), 0)
    blurred = ndimage.gaussian_filter(masked, 0.5 * SAMPLE_MM / spacing)
    steps = [max(1, round(SAMPLE_MM / size)) for size in spacing]
    voxels = np.argwhere(mask[tuple(slice(None, None, step) for step in steps)]) * steps
    points = nib.affines.apply_affine(image.affine, voxels)
    values, centre = blurred[tuple(voxels.T)], points.mean(axis=0)
    says = np.zeros(len(points)) if votes is None else votes[tuple(voxels.T)]

    def plane(parameters: np.ndarray) -> tuple[np.ndarray, float]:
        tilt_y, tilt_z, shift_mm = parameters
        normal = np.array([1.0, tilt_y, tilt_z]) / np.sqrt(1 + tilt_y**2 + tilt_z**2)
        return normal, float(normal @ centre) + shift_mm

    def disagreement(parameters: np.ndarray) -> float:
        normal, offset_mm = plane(parameters)
        right_of_it_mm = points @ normal - offset_mm
        mirrored = points - 2 * np.outer(right_of_it_mm, normal)
        seen = ndimage.map_coordinates(blurred, nib.affines.apply_affine(to_voxel, mirrored).T, order=1)
        asymmetry = np.mean((seen - values) ** 2) / max(values.var(), np.finfo(np.float32).tiny)
        return float(asymmetry - np.mean(says * np.tanh(right_of_it_mm / SAMPLE_MM)))

    first = [[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, 4.0]]
    options = {"initial_simplex": first, "xatol": 1e-3, "fatol": 1e-6}
    return plane(optimize.minimize(disagreement, np.zeros(3), method="Nelder-Mead", options=options).x)
