"""Boxes around what matters, so that no time is spent on air."""

import numpy as np
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

Box = tuple[slice, slice, slice]


def head_box(array: np.ndarray, margin: int = 0) -> Box:
    """Return the box, see `around`, of the voxels brighter than a tenth of the head's bright tissue (above 0)."""
    return around(array > 0.1 * np.percentile(array[array > 0], 98), margin)


def around(zone: np.ndarray, margin: int = 0) -> Box:
    """Return the box around the true voxels (at least one) and `margin` voxels more, cut at the array's edges."""
    box = zip(ndimage.find_objects(zone.astype(np.uint8))[0], zone.shape, strict=True)
    return tuple(slice(max(part.start - margin, 0), min(part.stop + margin, n)) for part, n in box)


def crop(image: Nifti1Image, box: Box) -> Nifti1Image:
    """Cut a box out of an image, float32; what remains stays where it is in the world."""
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [part.start for part in box]
    return Nifti1Image(np.asarray(image.dataobj)[box].astype(np.float32, copy=False), affine)


def padded_box(array: np.ndarray, box: Box, margin: int) -> np.ndarray:
    """Cut a box and `margin` voxels more on each side out of an array (..., X, Y, Z), with 0 beyond its edges."""
    wide = tuple(slice(max(part.start - margin, 0), part.stop + margin) for part in box)
    sizes = array.shape[-3:]
    beyond = [
        (max(margin - part.start, 0), max(part.stop + margin - size, 0)) for part, size in zip(box, sizes, strict=True)
    ]
    return np.ascontiguousarray(np.pad(array[(..., *wide)], [(0, 0)] * (array.ndim - 3) + beyond))
