"""Results in voxels as fine as those of the input within its slices."""

from dataclasses import replace

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from segsrgan_core.imaging.geometry import apply_along, resample_isotropic, spline_matrix, voxel_volume_ml
from segsrgan_core.segmenter import ModelCard, Segmentation, volumes_ml
from segsrgan_core.uncertainty import error_probability

FINEST_MM = 0.4


def refined(result: Segmentation, image: Nifti1Image, card: ModelCard, spacing_mm: float | None = None) -> Segmentation:
    """Bring the result of an image, float32 (X, Y, Z) of any orientation and spacing, to finer isotropic voxels.

    The network's correction is added to the image interpolated there, so that its detail in plane is kept, and the
    probabilities are interpolated. `spacing_mm` is the new voxel size; None: that of the image in plane, to a
    thousandth of a millimetre since headers round it, 0.4 mm or more. The result is returned as it is where that is
    not below the card's.
    """
    target_mm = spacing_mm or max(FINEST_MM, round(float(np.sort(nib.affines.voxel_sizes(image.affine))[1]), 3))
    if target_mm >= card.spacing_mm:
        return result
    grid, coarse = resample_isotropic(image, target_mm), result.image.affine

    def fine(values: np.ndarray, order: int = 1) -> np.ndarray:
        return _refine(Nifti1Image(values.astype(np.float32), coarse), grid, order)

    correction = np.asarray(result.image.dataobj) - np.asarray(result.interpolated.dataobj)
    probabilities = {name: fine(np.asarray(p.dataobj)) for name, p in result.probabilities.items()}
    sides = None
    if result.sides is not None:
        left, right = (fine(np.asarray(result.sides.dataobj) == k) for k in (1, 2))
        sides = np.where(left + right > 0.5, np.where(right > left, np.uint8(2), np.uint8(1)), np.uint8(0))
        for name, p in probabilities.items():
            p[(sides == 0) & (name != "background" and sides.any())] = 0
    classes = card.tissues
    labels = classes.decode_named(list(probabilities.values()))
    wrong = error_probability(probabilities, labels, classes.numbers, target_mm)
    return replace(
        result,
        interpolated=grid,
        image=Nifti1Image(np.asarray(grid.dataobj) + fine(correction, order=3), grid.affine),
        labels=Nifti1Image(labels, grid.affine),
        probabilities={name: Nifti1Image(p, grid.affine) for name, p in probabilities.items()},
        volumes_ml=volumes_ml(classes, labels, sides, voxel_volume_ml(grid)),
        sides=None if sides is None else Nifti1Image(sides, grid.affine),
        uncertainty=Nifti1Image(wrong, grid.affine),
    )


def _refine(image: Nifti1Image, fine: Nifti1Image, order: int = 1) -> np.ndarray:
    """Resample an image to the finer grid of another one with parallel axes, float32; only where it is not 0."""
    result, array = np.zeros(fine.shape, np.float32), np.asarray(image.dataobj)
    occupied = ndimage.find_objects((array != 0).astype(np.uint8))
    box = [slice(max(part.start - 4, 0), part.stop + 4) for part in (occupied or [[slice(4)] * 3])[0]]
    array, place, to_image = array[tuple(box)], [], np.linalg.inv(image.affine) @ fine.affine
    for axis, (part, n) in enumerate(zip(box, array.shape, strict=True)):
        at = to_image[axis, axis] * np.arange(fine.shape[axis]) + to_image[axis, 3] - part.start
        rows = np.flatnonzero(np.abs(at - (n - 1) / 2) <= n / 2)
        array = apply_along(array, spline_matrix(n, at[rows], order), axis)
        place.append(slice(rows[0], rows[-1] + 1))
    result[tuple(place)] = array
    return result
