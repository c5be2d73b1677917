"""Simulation of low resolution: real high resolution, thick slices, cubic-spline interpolation."""

import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segsrgan_study.figures.panels import PLANES, Grid, facts, grid, scale_bar, show, view_of
from segsrgan_study.figures.style import BLACK, BLUE, ORANGE, new_figure, panel_letters, styled

CAPTION = (
    "Simulation of low resolution. (a) The high-resolution image; (b) the same blurred by the slice profile and "
    "sampled in thick slices; (c) cubic-spline interpolation of b back to the grid of a, which is the network's "
    "input; (d) their intensities along the line across the slices that is marked in a."
)


@styled
def draw(high: nib.Nifti1Image, low: nib.Nifti1Image, interpolated: nib.Nifti1Image) -> tuple[Figure, pd.DataFrame]:
    """Draw a plane across the slices of the three images, and a line across the slices.

    Args:
        high: high resolution.
        low: thick slices, in the same orientation and world space.
        interpolated: `low` on the grid of `high`.

    Returns:
        The figure, and the line: panel, position_mm, intensity, plane, black, white.
    """
    images = {"high resolution": high, "thick slices": low, "interpolated": interpolated}
    thick = int(np.argmax(grid(low).spacing_mm))
    plane = "axial" if thick == 1 else "coronal"
    view = view_of(high, plane=plane)
    width, height = view.size_mm(plane)
    fig = new_figure(height_mm=42 * height / width + 10)
    axes = fig.subplots(1, 4, width_ratios=[1, 1, 1, 1.25])
    for ax, (title, image) in zip(axes, images.items(), strict=False):
        show(ax, image, plane, view)
        ax.set_title(title)
    scale_bar(axes[0])
    line = view.position_mm - [0.2 * np.ptp(view.box_mm[0]), 0, 0]  # off the midline, through cortex and ventricle
    ends = np.stack([line, line])
    ends[:, thick] = view.box_mm[thick]
    axes[0].plot(
        ends[:, PLANES[plane][1]], ends[:, PLANES[plane][2]], color=ORANGE, linewidth=0.8, linestyle=(0, (3, 2))
    )
    table = pd.concat([_profile(name, grid(image), line, thick) for name, image in images.items()])
    _draw_profile(axes[3], table)
    axes[3].set_xlim(view.box_mm[thick])
    panel_letters(axes)
    places = pd.DataFrame([facts(name, image, plane, view) for name, image in images.items()])
    return fig, table.merge(places[["panel", "plane", "black", "white"]], on="panel")


def _profile(name: str, shown: Grid, line: np.ndarray, thick: int) -> pd.DataFrame:
    index = [round(float((line[i] - shown.origin_mm[i]) / shown.spacing_mm[i])) for i in range(3)]
    index[thick] = slice(None)
    values = shown.data[tuple(index)]
    positions = shown.origin_mm[thick] + shown.spacing_mm[thick] * np.arange(len(values))
    return pd.DataFrame({"panel": name, "position_mm": positions, "intensity": values.astype(float)})


def _draw_profile(ax: Axes, table: pd.DataFrame) -> None:
    looks = [
        {"color": BLACK},
        {"color": ORANGE, "marker": "o", "linestyle": "none"},
        {"color": BLUE, "linestyle": "--"},
    ]
    for (name, part), look in zip(table.groupby("panel", sort=False), looks, strict=True):
        ax.plot(part["position_mm"], part["intensity"], label=name, **look)
    ax.set(xlabel="position along the line (mm)", ylabel="intensity", ylim=(0, 1.6 * table["intensity"].max()))
    ax.legend(loc="upper left", borderaxespad=0)
