"""Panels of a figure that show slices of the brain, in true proportions, see `views`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patheffects import withStroke
from nibabel.nifti1 import Nifti1Image

from segsrgan_study.figures.style import new_figure
from segsrgan_study.figures.views import PLANES, View, grid

GAP_MM = 2.0  # between panels
ABOVE_MM = 7.0  # for titles


def three_rows(view: View, columns: int, width_mm: float, below_mm: float) -> tuple[Figure, np.ndarray]:
    """A figure with a row of panels per plane in true proportions, and its panels (3, columns).

    It has room for titles above and a legend below. The layout is fixed: matplotlib's own takes 0.4 s.
    """
    panel_mm = (width_mm - GAP_MM) / columns - GAP_MM
    heights = np.array([panel_mm * height / width for width, height in map(view.size_mm, PLANES)])
    height_mm = ABOVE_MM + heights.sum() + (len(heights) - 1) * GAP_MM + below_mm
    fig = new_figure(height_mm, width_mm, layout=None)
    edges = {"left": GAP_MM / width_mm, "right": 1 - GAP_MM / width_mm}
    edges |= {"bottom": below_mm / height_mm, "top": 1 - ABOVE_MM / height_mm}
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
    shown = grid(mask)
    if lines := shown.contours_mm(plane, shown.plane(plane, view.position_mm) > 0):
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
