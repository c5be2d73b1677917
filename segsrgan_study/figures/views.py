"""What is seen of an image: planes in radiological orientation (the patient's right on the left), a box, a grey window.

Planes are the image's own, those nearest to axial, coronal and sagittal; coordinates are mm along its axes, so that
images on different grids of one orientation line up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import nibabel as nib
import numpy as np
from contourpy import contour_generator
from nibabel.nifti1 import Nifti1Image

from segsrgan_study.boxes import around
from segsrgan_study.figures.style import require

# Plane: (axis through it, axis drawn horizontally, axis drawn vertically) of a RAS+ array, and the marks at the
# left and right edges. Horizontal axes run from right to left: patient's right, and the face, are on the left.
PLANES = {"axial": (2, 0, 1, "R", "L"), "coronal": (1, 0, 2, "R", "L"), "sagittal": (0, 1, 2, "A", "P")}
MARGIN_MM = 8.0  # around what is shown


@dataclass(frozen=True)
class Grid:
    """A closest-canonical (RAS+) image: data (X, Y, Z), spacing_mm and origin_mm (3,) along its own axes."""

    data: np.ndarray
    spacing_mm: np.ndarray
    origin_mm: np.ndarray

    def centres_mm(self, axis: int) -> np.ndarray:
        """The middles of the voxels along one axis."""
        return self.origin_mm[axis] + self.spacing_mm[axis] * np.arange(self.data.shape[axis])

    def edges_mm(self, axis: int) -> tuple[float, float]:
        """The two outer faces of the grid along one axis."""
        first = self.origin_mm[axis] - self.spacing_mm[axis] / 2
        return first, first + self.spacing_mm[axis] * self.data.shape[axis]

    def plane(self, name: str, position_mm: Sequence[float]) -> np.ndarray:
        """The slice through a point, (horizontal, vertical); at the image's outer face the last slice."""
        axis = PLANES[name][0]
        index, count = round((position_mm[axis] - self.origin_mm[axis]) / self.spacing_mm[axis]), self.data.shape[axis]
        require(-1 <= index <= count, f"no {name} slice at {position_mm[axis]:.1f} mm: it lies outside the image.")
        return np.take(self.data, index, axis=axis, mode="clip")

    def contours_mm(self, name: str, inside: np.ndarray) -> list[np.ndarray]:
        """The outlines of a mask on a slice of `plane`, bool (horizontal, vertical), each (n, 2) in that order."""
        _, across, up, *_ = PLANES[name]
        return contour_generator(self.centres_mm(across), self.centres_mm(up), inside.T).lines(0.5)


@dataclass(frozen=True)
class View:
    """What panels share: a point and a box in mm (3, 2), and the grey window."""

    position_mm: np.ndarray
    box_mm: np.ndarray
    window: tuple[float, float]

    def size_mm(self, plane: str) -> tuple[float, float]:
        """Width and height of a panel in mm of the head."""
        _, across, up, *_ = PLANES[plane]
        sizes = np.ptp(self.box_mm, axis=1)
        return float(sizes[across]), float(sizes[up])

    def at(self, share: float, planes: Sequence[str] = tuple(PLANES)) -> "View":
        """The view with slices at a share of the way through the head: 0 right, back, below; 1 left, front, above."""
        low, high = self.box_mm.T + np.array([[MARGIN_MM], [-MARGIN_MM]])
        moved = np.isin(np.arange(3), [PLANES[plane][0] for plane in planes])
        return replace(self, position_mm=np.where(moved, low + share * (high - low), self.position_mm))


def mask_of(labels: Nifti1Image, number: int) -> Nifti1Image:
    """The mask of one label, uint8 on the labels' grid."""
    return Nifti1Image((np.asanyarray(labels.dataobj) == number).astype(np.uint8), labels.affine)


def grid(image: Nifti1Image) -> Grid:
    """The image reoriented to the nearest RAS+ order, without interpolation."""
    canonical = nib.as_closest_canonical(image)
    rotation, spacing = canonical.affine[:3, :3], np.asarray(canonical.header.get_zooms()[:3], float)
    return Grid(np.asanyarray(canonical.dataobj), spacing, (rotation / spacing).T @ canonical.affine[:3, 3])


def view_of(image: Nifti1Image, mask: Nifti1Image | None = None, plane: str | None = None) -> View:
    """A view of the foreground of a reference image, through its middle; MissingResult where there is none.

    The image sets the grey window, from zero to the 99.5th percentile of its foreground. Shown is the mask, non-zero
    inside; by default the voxels above a tenth of that percentile. With a plane, the box closes around what that plane
    alone shows.
    """
    shown = grid(image)
    foreground = shown.data > np.percentile(shown.data, 99.5) / 10
    inside = grid(mask) if mask is not None else Grid(foreground, shown.spacing_mm, shown.origin_mm)
    seen = inside.data > 0
    require(foreground.any() and seen.any(), "the picture's image or mask is empty: nothing to show.")
    low, high = _ends(seen)
    middle = (low + high) / 2
    if plane is not None:
        axis = PLANES[plane][0]
        cut, others = seen.take(round(middle[axis]), axis), np.arange(3) != axis
        if cut.any():
            low[others], high[others] = _ends(cut)
    box = inside.origin_mm[:, None] + inside.spacing_mm[:, None] * np.stack([low - 0.5, high + 0.5], axis=1)
    window = (0.0, float(np.percentile(shown.data[foreground], 99.5)))
    return View(inside.origin_mm + inside.spacing_mm * middle, box + np.array([-MARGIN_MM, MARGIN_MM]), window)


def _ends(mask: np.ndarray) -> np.ndarray:
    """Return the first and the last voxel along each axis of a mask that is not empty, int (2, axes)."""
    return np.array([(part.start, part.stop - 1) for part in around(mask)]).T
