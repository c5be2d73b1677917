"""Results in voxels as fine as those of the input within its slices."""

from collections.abc import Callable
from dataclasses import replace

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.imaging.geometry import resample_isotropic, resample_to, voxel_volume_ml
from segsrgan_core.segmenter import ModelCard, Segmentation, volumes_ml
from segsrgan_core.uncertainty import error_probability
from segsrgan_study.boxes import around

FINEST_MM = 0.4
MARGIN = 4  # voxels, beyond which the edge of a part does not tell in its splines


class Remade:
    """Array, float32 (X, Y, Z), that nibabel takes for one in a file: made whenever it is read, to save memory."""

    is_proxy, ndim, dtype = True, 3, np.dtype(np.float32)  # told the type, nibabel reads no voxel before

    def __init__(self, shape: tuple[int, ...], make: Callable[[], np.ndarray]):
        self.shape, self.make = shape, make

    def __array__(self, dtype: type | None = None, copy: bool | None = None) -> np.ndarray:
        return self.make().astype(dtype or self.dtype, copy=False)


class _Part:
    """The part of a finer grid with parallel axes around a mask (X, Y, Z); all of it if the mask is empty."""

    def __init__(self, mask: np.ndarray, affine: np.ndarray, grid: Nifti1Image):
        self.grid, self.box = grid, around(mask if mask.any() else ~mask, MARGIN)
        self.affine = affine @ nib.affines.from_matvec(np.eye(3), [part.start for part in self.box])
        to_fine = np.linalg.inv(grid.affine) @ affine
        edges = np.array([(part.start, part.stop) for part in self.box]) - 0.5
        low, high = to_fine[:3, 3] + np.diag(to_fine)[:3] * edges.T
        low, high = np.maximum(np.ceil(low), 0).astype(int), np.minimum(np.floor(high) + 1, grid.shape).astype(int)
        self.place = tuple(map(slice, low, high))
        self.target = tuple(high - low), grid.affine @ nib.affines.from_matvec(np.eye(3), low)

    def cut(self, values: np.ndarray) -> Nifti1Image:
        """Return a copy, float32, of what values on the mask's grid, (X, Y, Z), are here."""
        return Nifti1Image(values[self.box].astype(np.float32), self.affine)

    def refine(self, coarse: Nifti1Image, order: int = 1) -> np.ndarray:
        """Resample what was `cut`, float32."""
        return np.asarray(resample_to(coarse, *self.target, order).dataobj)

    def whole(self, part: np.ndarray) -> np.ndarray:
        """Return an array of the part on the whole grid, 0 elsewhere."""
        result = np.zeros(self.grid.shape, part.dtype)
        result[self.place] = part
        return result


def in_plane_mm(image: Nifti1Image) -> float:
    """Return the voxel size in plane of thick slices (X, Y, Z) to 0.001 mm (headers round it), but 0.4 mm at least."""
    return max(FINEST_MM, round(float(np.sort(nib.affines.voxel_sizes(image.affine))[1]), 3))


def refined(result: Segmentation, image: Nifti1Image, card: ModelCard, target_mm: float) -> Segmentation:
    """Bring the result of an image, float32 (X, Y, Z) of any orientation and spacing, to finer isotropic voxels.

    The network's correction is added to the image interpolated there, so that its detail in plane is kept, and the
    probabilities are interpolated.
    """
    grid, coarse, classes = resample_isotropic(image, target_mm), result.image.affine, card.tissues
    correction = np.asarray(result.image.dataobj) - np.asarray(result.interpolated.dataobj)
    window = _Part(correction != 0, coarse, grid)
    finer = np.asarray(grid.dataobj) + window.whole(window.refine(window.cut(correction), order=3))
    maps = {name: np.asarray(p.dataobj) for name, p in result.probabilities.items()}
    halves = None if result.sides is None else [np.asarray(result.sides.dataobj) == k for k in (1, 2)]
    brain, sides = _Part(np.any([p > 0 for p in [*maps.values(), *(halves or [])]], axis=0), coarse, grid), None
    named = {name: brain.cut(p) for name, p in maps.items()}
    if halves:
        left, right = (brain.refine(brain.cut(half)) for half in halves)
        sides = np.where(left + right > 0.5, np.where(right > left, np.uint8(2), np.uint8(1)), np.uint8(0))
    skull = sides > 0 if halves and sides.any() else None

    def probability(name: str) -> np.ndarray:
        fine = brain.refine(named[name])
        if skull is not None and name != "background":
            fine *= skull
        return fine

    def remade(name: str) -> Nifti1Image:
        made = Remade(grid.shape, lambda: brain.whole(probability(name)))
        return Nifti1Image(made, grid.affine, dtype=made.dtype)

    labels, likely = classes.most_likely(map(probability, named))
    return replace(
        result,
        interpolated=grid,
        image=Nifti1Image(finer, grid.affine),
        labels=Nifti1Image(brain.whole(labels), grid.affine),
        probabilities={name: remade(name) for name in named},
        volumes_ml=volumes_ml(classes, labels, sides, voxel_volume_ml(grid)),
        sides=Nifti1Image(brain.whole(sides), grid.affine) if halves else None,
        uncertainty=Nifti1Image(brain.whole(error_probability(likely, target_mm)), grid.affine),
    )
