"""Brain slices drawn as radiologists read them: the patient's right on the left, true proportions, a scale bar.

Planes are the image's own, those nearest to axial, coronal and sagittal; coordinates are mm along its axes, so that
images on different grids of one orientation line up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.image import AxesImage
from matplotlib.patheffects import withStroke

from segsrgan_study.figures.style import MissingResult, require

# Plane: (axis through it, axis drawn horizontally, axis drawn vertically) of a RAS+ array, and the marks at the
# left and right edges. Horizontal axes run from right to left: patient's right, and the face, are on the left.
PLANES = {"axial": (2, 0, 1, "R", "L"), "coronal": (1, 0, 2, "R", "L"), "sagittal": (0, 1, 2, "A", "P")}


@dataclass(frozen=True)
class Grid:
    """A closest-canonical (RAS+) image: data (X, Y, Z), spacing_mm and origin_mm (3,) along its own axes."""

    data: np.ndarray
    spacing_mm: np.ndarray
    origin_mm: np.ndarray

    def edges_mm(self, axis: int) -> tuple[float, float]:
        """The two outer faces of the grid along one axis."""
        first = self.origin_mm[axis] - self.spacing_mm[axis] / 2
        return first, first + self.spacing_mm[axis] * self.data.shape[axis]

    def plane(self, name: str, position_mm: Sequence[float]) -> np.ndarray:
        """The slice through a point, (horizontal, vertical)."""
        axis = PLANES[name][0]
        index = round((position_mm[axis] - self.origin_mm[axis]) / self.spacing_mm[axis])
        if not 0 <= index < self.data.shape[axis]:
            raise MissingResult(f"no {name} slice at {position_mm[axis]:.1f} mm: it lies outside the image.")
        return np.take(self.data, index, axis=axis)


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


def mask_of(labels: nib.Nifti1Image, number: int) -> nib.Nifti1Image:
    """The mask of one label, on the labels' grid."""
    return nib.Nifti1Image((np.asanyarray(labels.dataobj) == number).astype(np.uint8), labels.affine)


def grid(image: nib.Nifti1Image) -> Grid:
    """The image reoriented to the nearest RAS+ order, without interpolation."""
    canonical = nib.as_closest_canonical(image)
    rotation, spacing = canonical.affine[:3, :3], np.asarray(canonical.header.get_zooms()[:3], float)
    return Grid(np.asanyarray(canonical.dataobj), spacing, (rotation / spacing).T @ canonical.affine[:3, 3])


def view_of(
    image: nib.Nifti1Image,
    mask: nib.Nifti1Image | None = None,
    plane: str | None = None,
    margin_mm: float = 8.0,
) -> View:
    """A view that holds the foreground of a reference image, through the middle of it.

    Args:
        image: sets the grey window, from zero to the 99.5th percentile of its foreground.
        mask: what to show, non-zero inside; by default the voxels above a tenth of the image's 99.5th percentile.
        plane: with one, the box closes around what that plane alone shows.
        margin_mm: around it.

    Raises:
        MissingResult: image or mask is empty.
    """
    shown = grid(image)
    foreground = shown.data > np.percentile(shown.data, 99.5) / 10
    inside = grid(mask) if mask is not None else Grid(foreground, shown.spacing_mm, shown.origin_mm)
    require(
        bool(foreground.any() and np.any(inside.data > 0)), "the picture's image or mask is empty: nothing to show."
    )
    low, high = _span(inside.data > 0)
    middle = (low + high) / 2
    if plane is not None:
        axis = PLANES[plane][0]
        part = np.take(inside.data > 0, [round(middle[axis])], axis=axis)
        if part.any():
            low, high = (
                np.where(np.arange(3) == axis, old, new) for old, new in zip((low, high), _span(part), strict=True)
            )
    box = inside.origin_mm[:, None] + inside.spacing_mm[:, None] * np.stack([low - 0.5, high + 0.5], axis=1)
    window = (0.0, float(np.percentile(shown.data[foreground], 99.5)))
    return View(inside.origin_mm + inside.spacing_mm * middle, box + np.array([-margin_mm, margin_mm]), window)


def _span(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    points = np.argwhere(mask)
    return points.min(axis=0), points.max(axis=0)


def show(ax: Axes, image: nib.Nifti1Image, plane: str, view: View) -> None:
    """Draw one plane of an image in grey, framed; voxels are not smoothed."""
    shown = grid(image)
    low, high = view.window
    _paint(ax, shown, shown.plane(plane, view.position_mm).T, plane, cmap="gray", vmin=low, vmax=high)
    frame(ax, plane, view)


def heat(
    ax: Axes, image: nib.Nifti1Image, plane: str, view: View, window: tuple[float, float], cmap: str = "inferno"
) -> AxesImage:
    """Draw one plane of a map in colours, framed; the drawn image is for a colour bar."""
    shown = grid(image)
    options = {"cmap": cmap, "vmin": window[0], "vmax": window[1]}
    drawn = _paint(ax, shown, shown.plane(plane, view.position_mm).T, plane, **options)
    frame(ax, plane, view)
    return drawn


def contour(ax: Axes, mask: nib.Nifti1Image, plane: str, view: View, color: str, width: float = 0.7) -> None:
    """Draw the outline of a mask (non-zero inside) on a panel of `show`."""
    shown, (_, across, up, *_) = grid(mask), PLANES[plane]
    inside = (shown.plane(plane, view.position_mm) > 0).T
    if inside.any() and not inside.all():
        centres = [shown.origin_mm[i] + shown.spacing_mm[i] * np.arange(shown.data.shape[i]) for i in (across, up)]
        ax.contour(*centres, inside, levels=[0.5], colors=[color], linewidths=width)


def fill(ax: Axes, mask: nib.Nifti1Image, plane: str, view: View, color: str) -> None:
    """Paint a mask in one opaque colour; `frame` the panel afterwards."""
    shown = grid(mask)
    inside = (shown.plane(plane, view.position_mm) > 0).T
    paint = np.zeros((*inside.shape, 4), np.uint8)
    paint[inside] = [round(255 * part) for part in (*to_rgb(color), 1)]
    _paint(ax, shown, paint, plane)


def scale_bar(ax: Axes, length_mm: float = 20.0) -> None:
    """A white bar of a length in mm in the lower right corner."""
    (right, left), (bottom, top) = ax.get_xlim()[::-1], ax.get_ylim()
    width, height = right - left, top - bottom
    end = left + 0.05 * width  # the horizontal axis runs from right to left
    y = bottom + 0.05 * height
    (bar,) = ax.plot(
        [end, end + length_mm * np.sign(width)], [y, y], color="white", linewidth=1.5, solid_capstyle="butt"
    )
    middle = end + np.sign(width) * length_mm / 2
    text = ax.text(middle, y + 0.02 * height, f"{length_mm:g} mm", color="white", ha="center", va="bottom", fontsize=6)
    for artist in (bar, text):  # a black edge, where they lie on the head
        artist.set_path_effects([withStroke(linewidth=2.5 if artist is bar else 1.2, foreground="black")])


def facts(panel: str, image: nib.Nifti1Image, plane: str, view: View) -> dict:
    """The row of the figure's CSV for one image panel: where the slice lies, its voxels and its grey window."""
    shown = grid(image)
    sizes = dict(zip(("spacing_x_mm", "spacing_y_mm", "spacing_z_mm"), shown.spacing_mm, strict=True))
    position = float(view.position_mm[PLANES[plane][0]])
    low, high = view.window
    return {"panel": panel, "plane": plane, "position_mm": position, **sizes, "black": low, "white": high}


def frame(ax: Axes, plane: str, view: View) -> None:
    """Give a panel its limits, square millimetres, a black ground, side marks and no axes."""
    _, across, up, left, right = PLANES[plane]
    ax.set_xlim(view.box_mm[across][::-1])
    ax.set_ylim(view.box_mm[up])
    ax.set_aspect("equal")
    ax.set_facecolor("black")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    style = {"color": "white", "transform": ax.transAxes, "va": "center", "fontsize": 7}
    ax.text(0.015, 0.5, left, ha="left", **style)
    ax.text(0.985, 0.5, right, ha="right", **style)


def _paint(ax: Axes, shown: Grid, pixels: np.ndarray, plane: str, **options) -> AxesImage:
    _, across, up, *_ = PLANES[plane]
    extent = (*shown.edges_mm(across), *shown.edges_mm(up))
    return ax.imshow(pixels, origin="lower", extent=extent, interpolation="nearest", **options)
