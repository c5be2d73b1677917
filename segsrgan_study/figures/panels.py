"""Slices of the brain in radiological orientation (the patient's right on the left), in true proportions.

Planes are the image's own, those nearest to axial, coronal and sagittal; coordinates are mm along its axes, so that
images on different grids of one orientation line up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from contourpy import contour_generator
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patheffects import withStroke
from nibabel.nifti1 import Nifti1Image

from segsrgan_study.boxes import around
from segsrgan_study.figures.style import new_figure, require

# Plane: (axis through it, axis drawn horizontally, axis drawn vertically) of a RAS+ array, and the marks at the
# left and right edges. Horizontal axes run from right to left: patient's right, and the face, are on the left.
PLANES = {"axial": (2, 0, 1, "R", "L"), "coronal": (1, 0, 2, "R", "L"), "sagittal": (0, 1, 2, "A", "P")}
MARGIN_MM = 8.0  # around what is shown
GAP_MM = 2.0  # between panels


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


def three_rows(
    view: View, columns: int, width_mm: float, above_mm: float, below_mm: float
) -> tuple[Figure, np.ndarray]:
    """A figure with a row of panels per plane in true proportions, and its panels (3, columns).

    It has room for titles above and a legend below. The layout is fixed: matplotlib's own takes 0.4 s.
    """
    panel_mm = (width_mm - GAP_MM) / columns - GAP_MM
    heights = np.array([panel_mm * height / width for width, height in map(view.size_mm, PLANES)])
    height_mm = above_mm + heights.sum() + (len(heights) - 1) * GAP_MM + below_mm
    fig = new_figure(height_mm, width_mm, layout=None)
    edges = {"left": GAP_MM / width_mm, "right": 1 - GAP_MM / width_mm}
    edges |= {"bottom": below_mm / height_mm, "top": 1 - above_mm / height_mm}
    edges |= {"wspace": GAP_MM / panel_mm, "hspace": GAP_MM / heights.mean()}
    return fig, fig.subplots(len(heights), columns, height_ratios=heights, squeeze=False, gridspec_kw=edges)


def show(ax: Axes, image: Nifti1Image, plane: str, view: View, **options: Any) -> AxesImage:
    """Draw one plane of an image on black, voxels unsmoothed, in square millimetres with marks of the sides.

    Options of `Axes.imshow` take the place of grey in the view's window.
    """
    shown, (_, across, up, left, right) = grid(image), PLANES[plane]
    pixels = shown.plane(plane, view.position_mm).T
    extent = (*shown.edges_mm(across), *shown.edges_mm(up))
    options = {"cmap": "gray", "vmin": view.window[0], "vmax": view.window[1]} | options
    drawn = ax.imshow(pixels, origin="lower", extent=extent, interpolation="nearest", **options)
    ax.set(xlim=view.box_mm[across][::-1], ylim=view.box_mm[up], facecolor="black", xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    style = {"color": "white", "transform": ax.transAxes, "va": "center", "fontsize": 7}
    if not ax.texts:
        ax.text(0.015, 0.5, left, ha="left", **style)
        ax.text(0.985, 0.5, right, ha="right", **style)
    return drawn


def fill(ax: Axes, mask: Nifti1Image, plane: str, view: View, color: str) -> None:
    """Paint a mask (non-zero inside) in one opaque colour, see `show`; what is outside stays as it is."""
    show(ax, mask, plane, view, cmap=ListedColormap([(0, 0, 0, 0), color]), vmin=0, vmax=1)


def contour(ax: Axes, mask: Nifti1Image, plane: str, view: View, color: str, width: float = 0.7) -> None:
    """Draw the outline of a mask (non-zero inside) on a panel of `show`, `width` points wide."""
    shown, (_, across, up, *_) = grid(mask), PLANES[plane]
    inside = (shown.plane(plane, view.position_mm) > 0).T
    if inside.any() and not inside.all():
        places = shown.centres_mm(across), shown.centres_mm(up)
        lines = contour_generator(*places, inside).lines(0.5)
        ax.add_collection(LineCollection(lines, colors=color, linewidths=width), autolim=False)


def scale_bar(ax: Axes, length_mm: float = 20.0) -> None:
    """Draw a white bar of a length in mm in the lower right corner of a panel of `show`."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    ends = right + np.array([0.05 * (left - right), 0.05 * (left - right) + length_mm])  # mm run from right to left
    y = bottom + 0.05 * (top - bottom)
    (bar,) = ax.plot(ends, [y, y], color="white", linewidth=1.5, solid_capstyle="butt")
    look = {"color": "white", "ha": "center", "va": "bottom", "fontsize": 6}
    text = ax.text(ends.mean(), y + 0.02 * (top - bottom), f"{length_mm:g} mm", **look)
    for artist in (bar, text):  # a black edge, where they lie on the head
        artist.set_path_effects([withStroke(linewidth=2.5 if artist is bar else 1.2, foreground="black")])


def strip(axes: Sequence[Axes], shown: Mapping[str, tuple[Nifti1Image, str]], view: View) -> pd.DataFrame:
    """Draw images (title to image and plane) side by side, see `show`, with a scale bar in the first panel.

    Returns a row per panel for a figure's CSV: its title, the slice, the voxels' size and the grey window.
    """
    rows = []
    for ax, (title, (image, plane)) in zip(axes, shown.items(), strict=False):
        show(ax, image, plane, view)
        ax.set_title(title)
        rows.append((title, plane, view.position_mm[PLANES[plane][0]], *grid(image).spacing_mm, *view.window))
    scale_bar(axes[0])
    sizes = ["spacing_x_mm", "spacing_y_mm", "spacing_z_mm"]
    return pd.DataFrame(rows, columns=["panel", "plane", "position_mm", *sizes, "black", "white"])
