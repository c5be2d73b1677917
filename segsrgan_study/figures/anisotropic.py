"""A thick-slice image in three planes."""

from nibabel.nifti1 import Nifti1Image

from segsrgan_study.figures.panels import strip
from segsrgan_study.figures.style import TWO_COLUMNS_MM, Plot, lettered_panels, styled
from segsrgan_study.figures.views import PLANES, view_of


@styled
def draw(image: Nifti1Image) -> Plot:
    """Draw the three planes of a thick-slice image through the middle of its foreground; values as of `strip`."""
    view = view_of(image)
    widths = [width / height for width, height in map(view.size_mm, PLANES)]
    fig, axes = lettered_panels(3, TWO_COLUMNS_MM / sum(widths) + 8, width_ratios=widths)
    return fig, strip(axes, {plane: (image, plane) for plane in PLANES}, view)
