"""A thick-slice image in three planes."""

import nibabel as nib
import pandas as pd
from matplotlib.figure import Figure

from segsrgan_study.figures.panels import PLANES, facts, scale_bar, show, view_of
from segsrgan_study.figures.style import new_figure, panel_letters, styled

CAPTION = (
    "A thick-slice image in the three planes of its grid. Slices are thin in the plane of acquisition and thick across "
    "it, so that two of the planes show bands. Radiological orientation: the patient's right is on the left."
)


@styled
def draw(image: nib.Nifti1Image) -> tuple[Figure, pd.DataFrame]:
    """Draw the three planes of a thick-slice image through the middle of its foreground.

    Args:
        image: thick slices.

    Returns:
        The figure, and a row per panel with the slice's position, the voxel size and the grey window.
    """
    view = view_of(image)
    widths = [width / height for width, height in map(view.size_mm, PLANES)]
    fig = new_figure(height_mm=190 / sum(widths) + 8)
    axes = fig.subplots(1, 3, width_ratios=widths)
    for ax, plane in zip(axes, PLANES, strict=True):
        show(ax, image, plane, view)
        ax.set_title(plane)
    scale_bar(axes[0])
    panel_letters(list(axes))
    return fig, pd.DataFrame([facts(plane, image, plane, view) for plane in PLANES])
