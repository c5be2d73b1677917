"""Shape of the cortex of each hemisphere: area, thickness, gyrification, depth of the sulci."""

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from segsrgan_core.classes import NUMBERS, SIDES
from segsrgan_core.imaging.geometry import spacing_mm
from segsrgan_core.imaging.hemispheres import largest_part
from segsrgan_study.boxes import around
from segsrgan_study.shapes.surface import surface
from segsrgan_study.shapes.thickness import thickness_mm

CORTEX = NUMBERS["cortex"]
INSIDE = tuple(NUMBERS[name] for name in ("white", "ventricles", "deep_grey", "hippocampi_amygdala"))  # of the cortex
CLOSED_MM = 10.0  # radius of the ball that closes the sulci; 15 mm in adults (Schaer et al. 2008)
MEASURES = {
    "area_cm2": "area of the outer (pial) boundary of the cortex",
    "white_area_cm2": "area of the inner boundary of the cortex",
    "thickness_mm": "mean thickness of the cortex over its middle surface",
    "gyrification": "area of the whole hemisphere's surface over that of its smooth hull",
    "depth_mm": "mean depth of the outer boundary of the cortex below the smooth hull: depth of the sulci",
}


def cortical_shape(labels: Nifti1Image, sides: Nifti1Image | None) -> dict[str, float]:
    """Return `left_` and `right_` of all `MEASURES`; nan where they cannot be told.

    A hemisphere is the cortex and what it encloses (white matter, ventricles, deep grey, hippocampi), its largest part
    with holes filled. What the cortex encloses does not follow from the cortex alone, which is open below: without
    white matter in the labels all measures are nan, and so are those of an empty hemisphere. Where two banks of a
    sulcus touch there is no boundary, in the truth as in a segmentation.

    Labels are uint8 (X, Y, Z), drawem9 numbers; sides uint8 on the same grid, 1 left, 2 right within the skull, None
    where they are unknown.
    """
    array = np.asarray(labels.dataobj)
    cortex, cerebrum = array == CORTEX, np.isin(array, (CORTEX, *INSIDE))
    unknown = dict.fromkeys(MEASURES, float("nan"))

    def of_side(number: int) -> dict[str, float]:
        mask = cerebrum & (np.asarray(sides.dataobj) == number)
        if mask.any():
            box = around(mask)
            solid = largest_part(mask[box])
            sheet = solid & cortex[box]
            if sheet.any() and (solid & ~sheet).any():
                return hemisphere_shape(sheet, solid, spacing_mm(labels))
        return unknown

    found = [unknown, unknown]
    if sides is not None and np.any(array == NUMBERS["white"]):
        with ThreadPoolExecutor() as threads:
            found = list(threads.map(of_side, (1, 2)))
    return {f"{side}_{name}": one[name] for side, one in zip(SIDES, found, strict=True) for name in MEASURES}


def hemisphere_shape(cortex: np.ndarray, solid: np.ndarray, spacing_mm: np.ndarray) -> dict[str, float]:
    """Return all `MEASURES` of a hemisphere; bool (X, Y, Z), `solid` is the cortex and what it encloses."""
    margins = [(n, n + 1) for n in np.ceil((CLOSED_MM + 4 * spacing_mm) / spacing_mm).astype(int)]
    cortex, solid = (np.pad(one, margins) for one in (cortex, solid))
    inside = solid & ~cortex
    outer, inner = surface(solid, spacing_mm), surface(inside, spacing_mm)
    hull_cm2, below_mm = smooth_hull(solid, spacing_mm)
    at_cortex, at_white = (_touches(one.cubes, cortex) for one in (outer, inner))
    areas = outer.areas_mm2[at_cortex]
    depths_mm = ndimage.map_coordinates(below_mm, outer.cubes[at_cortex].T / 2, order=1)
    lengths_mm = thickness_mm(cortex, inside, spacing_mm)
    lengths_mm = lengths_mm[np.isfinite(lengths_mm)]
    return {
        "area_cm2": float(areas.sum()) / 100,
        "white_area_cm2": float(inner.areas_mm2[at_white].sum()) / 100,
        # A voxel stands for an area of its volume over the thickness.
        "thickness_mm": len(lengths_mm) / float(np.sum(1 / lengths_mm)) if len(lengths_mm) else float("nan"),
        "gyrification": float(outer.areas_mm2.sum()) / 100 / hull_cm2,
        "depth_mm": float(np.average(np.maximum(depths_mm, 0), weights=areas)) if areas.any() else float("nan"),
    }


def smooth_hull(solid: np.ndarray, spacing_mm: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the area of a mask closed by a ball of `CLOSED_MM`, in cm2, and the depth below its surface, in mm.

    The mask is bool (X, Y, Z), further than the ball's radius from the edges of the field, the depth float32 on a grid
    of twice the voxel size, the first voxel of which holds the first two.
    """
    even = solid[tuple(slice(n - n % 2) for n in solid.shape)]
    halves = even.reshape([m for n in even.shape for m in (n // 2, 2)])
    coarse, size = halves.mean((1, 3, 5), dtype=np.float32) >= 0.5, 2 * np.asarray(spacing_mm)
    near = ndimage.distance_transform_edt(~coarse, sampling=size) <= CLOSED_MM
    below = ndimage.distance_transform_edt(near, sampling=size) - CLOSED_MM
    return float(surface(below > 0, size).areas_mm2.sum()) / 100, below.astype(np.float32)


def _touches(cubes: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Tell which cubes of 2 x 2 x 2 voxels, given by their first ones, hold a voxel of a mask."""
    return np.logical_or.reduce([mask[tuple((cubes + corner).T)] for corner in product((0, 1), repeat=3)])
