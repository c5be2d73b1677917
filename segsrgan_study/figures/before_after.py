"""A test subject before and after super-resolution: thick slices, interpolation, SegSRGAN, truth."""

import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.classes import NUMBERS
from segsrgan_study.figures.panels import contour, strip
from segsrgan_study.figures.style import CORTEX, Plot, lettered_panels, styled
from segsrgan_study.figures.views import mask_of, view_of

PLANE = "coronal"  # across the thick slices


@styled
def draw(
    low: Nifti1Image,
    spline: Nifti1Image,
    estimate: Nifti1Image,
    truth: Nifti1Image,
    labels: Nifti1Image,
    truth_labels: Nifti1Image,
) -> Plot:
    """Draw the coronal plane of one subject, all images in one orientation; values as of `strip`, and cortex_voxels.

    `truth`, the real high-resolution image, sets the view and the grey window; `estimate` is the network's. Both labels
    lie on the grid of their image.
    """
    view = view_of(truth, plane=PLANE)
    panels = {"cubic spline": spline, "SegSRGAN": estimate, "high resolution (truth)": truth}
    panels |= {"low resolution": low, "SegSRGAN, cortex": estimate, "truth, cortex": truth}
    width, height = view.size_mm(PLANE)
    fig, axes = lettered_panels(6, 62 * height / width + 6)
    table = strip(axes, {title: (image, PLANE) for title, image in panels.items()}, view).assign(cortex_voxels=np.nan)
    for number, cortex in ((4, labels), (5, truth_labels)):
        mask = mask_of(cortex, NUMBERS["cortex"])
        contour(axes[number], mask, PLANE, view, CORTEX)
        table.loc[number, "cortex_voxels"] = np.count_nonzero(mask.dataobj)
    return fig, table
