"""Images side by side in three planes, and one image in three dimensions, for the explore and demo notebooks."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.classes import NUMBERS
from segsrgan_study.figures.panels import contour, scale_bar, show, three_rows
from segsrgan_study.figures.style import CORTEX, SKY, styled
from segsrgan_study.figures.views import PLANES, mask_of, view_of

TRUTH = "truth"


@styled
def side_by_side(
    images: Mapping[str, Nifti1Image],
    labels: Mapping[str, Nifti1Image] | None = None,
    uncertainty: Nifti1Image | None = None,
    place: float = 0.5,
    like: Nifti1Image | None = None,
) -> Figure:
    """Draw images (columns) in three planes (rows), by title, on any grids of one orientation in one world space.

    The cortex of labels (drawem9 numbers) is outlined in red over the image of their title; that of the labels called
    "truth" in blue, over every image that has labels. The uncertainty, the probability that a label is wrong, has a
    column of its own, black 0 to yellow 0.5. `place` is the position of all three planes, see `View.at`; `like`, or the
    last of the images, sets the part shown and the grey window.
    """
    labels = labels or {}
    view = view_of(like or list(images.values())[-1]).at(np.clip(place, 0, 1))
    columns = len(images) + (uncertainty is not None)
    fig, axes = three_rows(view, columns, min(280, 80 * columns), below_mm=2)
    cortices = {title: mask_of(one, NUMBERS["cortex"]) for title, one in labels.items()}
    for row, plane in zip(axes, PLANES, strict=True):
        for ax, (title, image) in zip(row, images.items(), strict=False):
            show(ax, image, plane, view)
            for name in (TRUTH, title) if title in cortices else ():
                if name in cortices:
                    contour(ax, cortices[name], plane, view, SKY if name == TRUTH else CORTEX)
        if uncertainty is not None:
            show(row[-1], uncertainty, plane, view, cmap="inferno", vmin=0.0, vmax=0.5)
    for ax, title in zip(axes[0], [*images, "P(label is wrong)"], strict=False):
        ax.set_title(title, fontsize=10)
    scale_bar(axes[0, 0])
    return fig


def three_dimensions(image: Nifti1Image, labels: Nifti1Image | None = None) -> Any:
    """Return nilearn's interactive view of an image and, with labels, of its cortex; it needs no network."""
    from nilearn.plotting import view_img

    background = Nifti1Image(np.asarray(image.dataobj, np.float32), image.affine)
    nothing = Nifti1Image(np.zeros(image.shape, np.uint8), image.affine)
    cortex = mask_of(labels, NUMBERS["cortex"]) if labels else nothing
    options = {"threshold": 0.5, "vmax": 1, "symmetric_cmap": False, "cmap": "autumn_r", "colorbar": False}
    options |= {"opacity": 0.5, "black_bg": True, "resampling_interpolation": "nearest"}
    middle = tuple(apply_affine(image.affine, (np.array(image.shape) - 1) / 2))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given float value must not exceed|Casting data")
        return view_img(cortex, background, cut_coords=middle, **options)
