"""Simulation of low resolution: real high resolution, thick slices, cubic-spline interpolation."""

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_study.figures.panels import strip
from segsrgan_study.figures.style import BLACK, BLUE, ORANGE, Plot, lettered_panels, styled
from segsrgan_study.figures.views import PLANES, grid, view_of

LOOKS = ({"color": BLACK}, {"color": ORANGE, "marker": "o", "linestyle": "none"}, {"color": BLUE, "linestyle": "--"})


@styled
def draw(high: Nifti1Image, low: Nifti1Image, interpolated: Nifti1Image) -> Plot:
    """Draw a plane across the slices of three images of one orientation and world space, and a line across the slices.

    Values: of the line panel, position_mm, intensity, plane, black, white.
    """
    images = {"high resolution": high, "thick slices": low, "interpolated": interpolated}
    thick = int(np.argmax(grid(low).spacing_mm))
    plane = "axial" if thick == 1 else "coronal"
    view = view_of(high, plane=plane)
    width, height = view.size_mm(plane)
    fig, axes = lettered_panels(4, 42 * height / width + 10, columns=4, width_ratios=[1, 1, 1, 1.25])
    places = strip(axes, {title: (image, plane) for title, image in images.items()}, view)
    line = view.position_mm - [0.2 * np.ptp(view.box_mm[0]), 0, 0]  # off the midline, through cortex and ventricle
    ends = np.stack([line, line])
    ends[:, thick] = view.box_mm[thick]
    axes[0].plot(*ends[:, PLANES[plane][1:3]].T, color=ORANGE, linewidth=0.8, linestyle=(0, (3, 2)))
    parts = []
    for (name, image), look in zip(images.items(), LOOKS, strict=True):
        shown = grid(image)
        index = [round(voxel) for voxel in (line - shown.origin_mm) / shown.spacing_mm]
        index[thick] = slice(None)
        positions, values = shown.centres_mm(thick), shown.data[tuple(index)].astype(float)
        axes[3].plot(positions, values, label=name, **look)
        parts.append(pd.DataFrame({"panel": name, "position_mm": positions, "intensity": values}))
    table = pd.concat(parts)
    axes[3].set(xlim=view.box_mm[thick], ylim=(0, 1.6 * table["intensity"].max()))
    axes[3].set(xlabel="position along the line (mm)", ylabel="intensity")
    axes[3].legend(loc="upper left", borderaxespad=0)
    return fig, table.merge(places[["panel", "plane", "black", "white"]], on="panel")
