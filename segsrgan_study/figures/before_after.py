"""A test subject before and after super-resolution: thick slices, interpolation, SegSRGAN, truth."""

import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from segsrgan_core.classes import NUMBERS
from segsrgan_study.figures.panels import contour, mask_of, strip, view_of
from segsrgan_study.figures.style import CORTEX, lettered_panels, styled

PLANE = "coronal"  # across the thick slices


@styled
def draw(
    low: nib.Nifti1Image,
    spline: nib.Nifti1Image,
    estimate: nib.Nifti1Image,
    truth: nib.Nifti1Image,
    labels: nib.Nifti1Image,
    truth_labels: nib.Nifti1Image,
) -> tuple[Figure, pd.DataFrame]:
    """Draw the coronal plane of one subject.

    Args:
        low: thick slices; its orientation is that of the others.
        spline: its cubic-spline interpolation.
        estimate: the network's image.
        truth: the real high-resolution image; sets the view and the grey window.
        labels: the network's labels on the grid of `estimate`.
        truth_labels: the true ones on the grid of `truth`.

    Returns:
        The figure, and a row per panel with the slice's position, the voxel size and the grey window.
    """
    view = view_of(truth, plane=PLANE)
    panels = {
        "cubic spline": spline,
        "SegSRGAN": estimate,
        "high resolution (truth)": truth,
        "low resolution": low,
        "SegSRGAN, cortex": estimate,
        "truth, cortex": truth,
    }
    width, height = view.size_mm(PLANE)
    fig, axes = lettered_panels(6, 62 * height / width + 6)
    table = strip(axes, {title: (image, PLANE) for title, image in panels.items()}, view).assign(cortex_voxels=np.nan)
    for number, cortex in ((4, labels), (5, truth_labels)):
        mask = mask_of(cortex, NUMBERS["cortex"])
        contour(axes[number], mask, PLANE, view, CORTEX)
        table.loc[number, "cortex_voxels"] = np.count_nonzero(mask.dataobj)
    return fig, table
