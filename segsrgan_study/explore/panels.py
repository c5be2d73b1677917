"""Images side by side in three planes, with outlines of the cortex; and one of them in three dimensions."""

import warnings
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image

from segsrgan_study.explore.looks import SEGSRGAN, SPLINE, TRUTH, Look
from segsrgan_study.figures.panels import PLANES, View, contour, grid, heat, scale_bar, show, view_of
from segsrgan_study.figures.style import CORTEX, SKY, styled

WIDTH_INCHES = 11.0
UNCERTAINTY = "P(label is wrong)"
OUTLINES = {SEGSRGAN: CORTEX, TRUTH: SKY}


@styled
def side_by_side(look: Look, place: float = 0.5, outlines: bool = True, uncertainty: bool = False) -> Figure:
    """Draw every image of a look (columns) in three planes (rows).

    Args:
        look: what to draw.
        place: where all three planes cut the head, from 0 (right, back, below) to 1 (left, front, above).
        outlines: draw the cortex: SegSRGAN's in red, the true one in blue, each over its own image and the true one
            over SegSRGAN's too.
        uncertainty: add the map of the probability that a label is wrong, where it is known: black 0, white 0.5.
    """
    view = _view(list(look.images.values())[-1], place)  # the finest one
    maps = [look.uncertainty] if uncertainty and look.uncertainty is not None else []
    columns = len(look.images) + len(maps)
    sizes = [view.size_mm(plane) for plane in PLANES]
    heights = [height / width for width, height in sizes]
    fig = Figure(figsize=(WIDTH_INCHES, WIDTH_INCHES / columns * sum(heights) + 0.4), layout="constrained")
    fig.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    axes = fig.subplots(3, columns, height_ratios=heights, squeeze=False)
    for row, plane in zip(axes, PLANES, strict=True):
        for ax, (title, image) in zip(row, look.images.items(), strict=False):
            show(ax, image, plane, view)
            for name in _outlined(title) if outlines else ():
                if name in look.cortex:
                    contour(ax, look.cortex[name], plane, view, OUTLINES[name])
        for ax, image in zip(row[len(look.images) :], maps, strict=True):
            heat(ax, image, plane, view, (0.0, 0.5))
    for ax, title in zip(axes[0], [*look.images, UNCERTAINTY], strict=False):
        ax.set_title(title, fontsize=10)
    scale_bar(axes[0, 0])
    return fig


def _outlined(title: str) -> tuple[str, ...]:
    """The cortices that are outlined in a panel; the last one lies on top."""
    return {SEGSRGAN: (TRUTH, SEGSRGAN), TRUTH: (TRUTH,)}.get(title, ())


def _view(reference: Nifti1Image, place: float) -> View:
    """The view around the head, its planes at `place` between the head's ends."""
    whole = view_of(reference)
    low, high = whole.box_mm.T + np.array([[8.0], [-8.0]])  # without the margin
    shown = grid(reference)
    ends = np.array([shown.edges_mm(axis) for axis in range(3)])
    at = low + np.clip(place, 0, 1) * (high - low)
    return replace(whole, position_mm=np.clip(at, ends[:, 0] + shown.spacing_mm, ends[:, 1] - shown.spacing_mm))


def three_dimensions(look: Look, height_px: int = 420) -> str:
    """Return an interactive page of nilearn as an HTML frame: SegSRGAN's image (or the first other) and the cortex.

    Everything stands in the page itself: it works without a network.
    """
    from nilearn.plotting import view_img

    title = next(name for name in (SEGSRGAN, TRUTH, SPLINE) if name in look.images)
    image, mask = look.images[title], look.cortex.get(title)
    background = Nifti1Image(np.asarray(image.dataobj, np.float32), image.affine)
    if mask is None:
        mask = Nifti1Image(np.zeros(image.shape, np.uint8), image.affine)
    cortex = np.asarray(mask.dataobj, np.float32)
    overlay = Nifti1Image(cortex, mask.affine)
    options = {"threshold": 0.5, "vmax": 1, "symmetric_cmap": False, "cmap": "autumn", "colorbar": False}
    options |= {"opacity": 0.5, "black_bg": True, "resampling_interpolation": "nearest", "title": title}
    with warnings.catch_warnings():
        if not cortex.any():  # the image alone, from its centre
            warnings.filterwarnings("ignore", "The given float value must not exceed")
            options["cut_coords"] = tuple(apply_affine(image.affine, (np.array(image.shape) - 1) / 2))
        page = view_img(overlay, background, **options)
    return page.get_iframe(width="100%", height=height_px)
