"""One case on one page, to see whether its segmentation can be trusted: three planes, contours on several slices."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from segsrgan_core.classes import NUMBERS
from segsrgan_core.segmenter import Segmentation
from segsrgan_study.figures.panels import PLANES, View, contour, mask_of, scale_bar, show, three_rows, view_of
from segsrgan_study.figures.style import CORTEX, CYCLE, SKY, TWO_COLUMNS_MM, styled, write_figure

SHARES = (0.2, 0.4, 0.6, 0.8)  # where the slices with contours lie, from one end of what is shown to the other
SPECK = 0.05  # a piece below this share of the largest one does not decide what is shown


def colors(names: list[str]) -> dict[str, str]:
    """Return the colour of each class: red for the cortex, as in the talk."""
    others = iter(color for _ in names for color in CYCLE if color != SKY)  # sky blue is the left hemisphere
    return {name: CORTEX if name == "cortex" else next(others) for name in names}


@styled
def draw(result: Segmentation, title: str) -> Figure:
    """Draw a case: a row a plane; the interpolated input and the super-resolved image, then slices with contours.

    Args:
        result: of one image.
        title: over the page.
    """
    view = _view(result)
    outlines = _outlines(result)
    fig, axes = three_rows(view, 2 + len(SHARES), TWO_COLUMNS_MM, titles_mm=12)
    for row, plane in zip(axes, PLANES, strict=True):
        show(row[0], result.interpolated, plane, view)
        show(row[1], result.image, plane, view)
        for ax, share in zip(row[2:], SHARES, strict=True):
            moved = _moved(view, plane, share)
            show(ax, result.image, plane, moved)
            for _, color, mask in outlines:
                contour(ax, mask, plane, moved, color, width=0.5)
    axes[0, 0].set_title("interpolated input")
    axes[0, 1].set_title("SegSRGAN")
    for ax, (name, color, _) in zip(axes[0, 2:], outlines, strict=False):
        ax.set_title(name.replace("_", " "), color=color)
    scale_bar(axes[0, 0])
    fig.suptitle(title, fontsize=8)
    return fig


def _view(result: Segmentation) -> View:
    """The view around what was segmented; specks far from the rest do not widen it."""
    pieces, count = ndimage.label(np.asarray(result.labels.dataobj) > 0, np.ones((3, 3, 3)))
    if not count:
        return view_of(result.image, None)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    large = sizes >= SPECK * sizes.max()
    return view_of(result.image, Nifti1Image(large[pieces].astype(np.uint8), result.labels.affine))


def _moved(view: View, plane: str, share: float) -> View:
    axis = PLANES[plane][0]
    low, high = view.box_mm[axis] + np.array([8.0, -8.0])  # without the margin of `view_of`
    position = np.array(view.position_mm, float)
    position[axis] = low + share * (high - low)
    return replace(view, position_mm=position)


def _outlines(result: Segmentation) -> list[tuple[str, str, Nifti1Image]]:
    """Return name, colour and mask of all that is outlined: the classes, and the left hemisphere where it is known."""
    hues = colors(list(result.probabilities))
    masks = [(name, hue, mask_of(result.labels, NUMBERS[name])) for name, hue in hues.items()]
    return masks if result.sides is None else [*masks, ("left hemisphere", SKY, mask_of(result.sides, 1))]


def write(result: Segmentation, title: str, path: Path) -> Path:
    """Draw a case and write it as PNG; the same case gives the same bytes."""
    return write_figure(draw(result, title), path, dpi=160)
