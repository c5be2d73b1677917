"""One case on one page, to see whether its segmentation can be trusted: three planes, contours on several slices."""

from itertools import cycle

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from segsrgan_core.classes import NUMBERS
from segsrgan_core.segmenter import Segmentation
from segsrgan_study.boxes import around, crop
from segsrgan_study.figures.panels import PLANES, View, contour, mask_of, scale_bar, show, three_rows, view_of
from segsrgan_study.figures.style import CORTEX, ON_GREY, SKY, TWO_COLUMNS_MM, styled

SHARES = (0.2, 0.4, 0.6, 0.8)  # where the slices with contours lie, from one end of what is shown to the other
SPECK = 0.05  # a piece below this share of the largest one does not decide what is shown


@styled
def draw(result: Segmentation, title: str) -> Figure:
    """Draw a case: a row a plane; the interpolated input and the super-resolved image, then slices with contours."""
    view = _view(result)
    fig, axes = three_rows(view, 2 + len(SHARES), TWO_COLUMNS_MM, above_mm=10, below_mm=7)
    axes[0, 0].set_title("interpolated input")
    axes[0, 1].set_title("SegSRGAN")
    others = cycle(ON_GREY)
    hues = {name: CORTEX if name == "cortex" else next(others) for name in result.probabilities}
    outlines = [(name, hue, mask_of(result.labels, NUMBERS[name])) for name, hue in hues.items()]
    if result.sides is not None:
        outlines.append(("left hemisphere", SKY, mask_of(result.sides, 1)))
    lines = [Line2D([], [], color=hue, label=name.replace("_", " ")) for name, hue, _ in outlines]
    look = {"frameon": True, "facecolor": "black", "labelcolor": "linecolor", "fontsize": 6, "handlelength": 1}
    fig.legend(handles=lines, loc="lower center", ncols=len(lines), columnspacing=1, **look)
    for row, plane in zip(axes, PLANES, strict=True):
        show(row[0], result.interpolated, plane, view)
        show(row[1], result.image, plane, view)
        for ax, share in zip(row[2:], SHARES, strict=True):
            moved = view.at(share, [plane])
            show(ax, result.image, plane, moved)
            for _, hue, mask in outlines:
                contour(ax, mask, plane, moved, hue, width=0.5)
    scale_bar(axes[0, 0])
    fig.suptitle(title, fontsize=8)
    return fig


def _view(result: Segmentation) -> View:
    """The view around what was segmented; specks far from the rest do not widen it."""
    if not np.any(result.labels.dataobj):
        return view_of(result.image)
    found = crop(result.labels, around(np.asarray(result.labels.dataobj) > 0))  # a part, to save memory
    pieces, _ = ndimage.label(np.asarray(found.dataobj) > 0, np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel())
    large = sizes >= SPECK * sizes[1:].max()
    large[0] = False
    return view_of(result.image, Nifti1Image(large[pieces].astype(np.uint8), found.affine))
