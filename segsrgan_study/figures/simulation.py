"""How low resolution is simulated: real high resolution, thick slices, cubic-spline interpolation."""

import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from segsrgan_study.figures.panels import Grid, facts, grid, scale_bar, show, view_of
from segsrgan_study.figures.style import BLACK, BLUE, ORANGE, new_figure, panel_letters, styled

NAME = "simulation"
CAPTION = (
    "Simulation of low resolution. (a) The high-resolution image; (b) the same blurred by the slice profile and "
    "sampled in thick slices; (c) cubic-spline interpolation of b back to the grid of a, which is the network's "
    "input; (d) their intensities along the line across the slices that is marked in a."
)


@styled
def draw(high: nib.Nifti1Image, low: nib.Nifti1Image, interpolated: nib.Nifti1Image) -> tuple[Figure, pd.DataFrame]:
    """Draw a coronal plane of the three images (one orientation, one world space), and a line across the slices.

    Returns:
        The figure, and the line: columns panel, position_mm, intensity.
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
    line = _line_position(view.position_mm, view.box_mm)
    axes[0].plot(*_line_points(view.box_mm, line, thick), color=ORANGE, linewidth=0.8, linestyle=(0, (3, 2)))
    table = pd.concat([_profile(name, grid(image), line, thick) for name, image in images.items()])
    _draw_profile(axes[3], table, view.box_mm[thick])
    panel_letters(list(axes))
    places = pd.DataFrame([facts(name, image, plane, view) for name, image in images.items()])
    return fig, table.merge(places[["panel", "plane", "black", "white"]], on="panel")


def _line_position(position_mm: np.ndarray, box_mm: np.ndarray) -> np.ndarray:
    """Off the midline, where cortex, white matter and ventricle follow each other."""
    return position_mm + np.array([-0.2 * np.ptp(box_mm[0]), 0, 0])


def _line_points(box_mm: np.ndarray, line: np.ndarray, thick: int) -> tuple[list[float], list[float]]:
    if thick == 0:
        return list(box_mm[0]), [line[2]] * 2
    return [line[0]] * 2, list(box_mm[thick])


def _profile(name: str, shown: Grid, line: np.ndarray, thick: int) -> pd.DataFrame:
    index = [round(float((line[i] - shown.origin_mm[i]) / shown.spacing_mm[i])) for i in range(3)]
    index[thick] = slice(None)
    values = shown.data[tuple(index)]
    positions = shown.origin_mm[thick] + shown.spacing_mm[thick] * np.arange(len(values))
    return pd.DataFrame({"panel": name, "position_mm": positions, "intensity": values.astype(float)})


def _draw_profile(ax, table: pd.DataFrame, limits: np.ndarray) -> None:
    looks = {
        "high resolution": {"color": BLACK},
        "thick slices": {"color": ORANGE, "marker": "o", "linestyle": "none"},
        "interpolated": {"color": BLUE, "linestyle": "--"},
    }
    for name, look in looks.items():
        part = table[table["panel"] == name]
        ax.plot(part["position_mm"], part["intensity"], label=name, **look)
    ax.set_xlim(limits)
    ax.set_xlabel("position along the line (mm)")
    ax.set_ylabel("intensity")
    ax.set_ylim(bottom=0, top=1.6 * table["intensity"].max())
    ax.legend(loc="upper left", borderaxespad=0)
