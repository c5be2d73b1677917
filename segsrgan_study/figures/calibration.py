"""Trust in a segmentation: its map of uncertainty, and the reliability of its probabilities."""

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.classes import NUMBERS
from segsrgan_study.figures.panels import contour, scale_bar, show
from segsrgan_study.figures.style import CORTEX, CYCLE, GREY, Plot, lettered_panels, styled
from segsrgan_study.figures.views import mask_of, view_of
from segsrgan_study.statistics.reliability import BEFORE

PLANE = "axial"


@styled
def draw(
    bins: pd.DataFrame, image: Nifti1Image, labels: Nifti1Image, uncertainty: Nifti1Image, structure: str = "cortex"
) -> Plot:
    """Draw `bins`, `calibration.csv` of `results/evaluation`, beside SegSRGAN's images of a test subject.

    The map of uncertainty holds probabilities. Values: the bins.
    """
    mask = mask_of(labels, NUMBERS[structure])
    view = view_of(image, mask if np.any(mask.dataobj) else None, PLANE)
    width, height = view.size_mm(PLANE)
    fig, axes = lettered_panels(3, 58 * height / width + 22)
    show(axes[0], image, PLANE, view)
    contour(axes[0], mask, PLANE, view, CORTEX, width=0.5)
    scale_bar(axes[0])
    drawn = show(axes[1], uncertainty, PLANE, view, cmap="inferno", vmin=0.0, vmax=0.5)
    bar = {"orientation": "horizontal", "label": "probability of a wrong label", "ticks": [0, 0.25, 0.5]}
    fig.colorbar(drawn, cax=axes[1].inset_axes([0.0, -0.1, 1.0, 0.04]), **bar)
    for ax in axes[:2]:
        ax.set_anchor("N")
    _curves(axes[2], bins)
    return fig, bins


def _curves(ax: Axes, bins: pd.DataFrame) -> None:
    ax.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=0.9)
    former = bins["structure"].str.endswith(BEFORE)
    for name, part in bins[former].groupby("structure", sort=False):
        label = f"{name.removesuffix(BEFORE)}, before".replace("_", " ")
        ax.plot(part["mean_probability"], part["share_inside"], "--", marker="o", color=GREY, label=label)
    bins = bins[~former]
    for (name, part), color in zip(bins.groupby("structure", sort=False), cycle(CYCLE), strict=False):
        label = name.replace("_", " ")
        ax.plot(part["mean_probability"], part["share_inside"], marker="o", color=color, label=label)
    if bins["structure"].nunique() == 1:
        share = bins["n_voxels"] / bins["n_voxels"].sum()
        height = np.clip(1 + np.log10(share.clip(lower=1e-9)) / 3, 0, None)
        width = bins["bin_high"] - bins["bin_low"]
        ax.bar(bins["bin_low"], height, width, align="edge", color=color, alpha=0.15, linewidth=0)
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability", ylabel="share truly inside")
    ax.legend(loc="upper left")
