"""A test subject before and after super-resolution: thick slices, interpolation, SegSRGAN, truth."""

import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from segsrgan_study.figures.panels import contour, facts, mask_of, scale_bar, show, view_of
from segsrgan_study.figures.style import CORTEX, new_figure, panel_letters, styled

CAPTION = (
    "A test subject before and after super-resolution, in a plane across the thick slices. Top: cubic-spline "
    "interpolation of the low-resolution image, SegSRGAN's image, and the real high-resolution image. Bottom: the "
    "low-resolution image as it is acquired, and the two others with the cortex outlined in red: as segmented by "
    "SegSRGAN, and the truth. All panels share one grey window."
)


@styled
def draw(
    low: nib.Nifti1Image,
    spline: nib.Nifti1Image,
    estimate: nib.Nifti1Image,
    truth: nib.Nifti1Image,
    labels: nib.Nifti1Image,
    truth_labels: nib.Nifti1Image,
    cortex: int = 2,
    plane: str = "coronal",
) -> tuple[Figure, pd.DataFrame]:
    """Draw one plane of one subject.

    Args:
        low: thick slices; its orientation is that of the others.
        spline: its cubic-spline interpolation.
        estimate: the network's image.
        truth: the real high-resolution image; sets the view and the grey window.
        labels: the network's labels on the grid of `estimate`.
        truth_labels: the true ones on the grid of `truth`.
        cortex: label of the cortex.
        plane: "axial", "coronal" or "sagittal"; one across the thick slices shows most.

    Returns:
        The figure, and a row per panel with the slice's position, the voxel size and the grey window.
    """
    view = view_of(truth, plane=plane)
    panels = {
        "cubic spline": (spline, None),
        "SegSRGAN": (estimate, None),
        "high resolution (truth)": (truth, None),
        "low resolution": (low, None),
        "SegSRGAN, cortex": (estimate, mask_of(labels, cortex)),
        "truth, cortex": (truth, mask_of(truth_labels, cortex)),
    }
    width, height = view.size_mm(plane)
    fig = new_figure(height_mm=2 * (62 * height / width + 6))
    axes = list(fig.subplots(2, 3).flat)
    for ax, (title, (image, mask)) in zip(axes, panels.items(), strict=True):
        show(ax, image, plane, view)
        ax.set_title(title)
        if mask is not None:
            contour(ax, mask, plane, view, CORTEX)
    scale_bar(axes[0])
    panel_letters(axes)
    rows = [facts(title, image, plane, view) for title, (image, _) in panels.items()]
    counts = [np.nan if mask is None else np.count_nonzero(mask.dataobj) for _, mask in panels.values()]
    return fig, pd.DataFrame(rows).assign(cortex_voxels=counts)
