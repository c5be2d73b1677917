"""Trust in a segmentation: its map of uncertainty, the reliability of its probabilities, its volumes."""

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.classes import NUMBERS
from segsrgan_study.figures.panels import contour, scale_bar, show
from segsrgan_study.figures.style import BLACK, BLUE, CORTEX, CYCLE, GREY, lettered_panels, styled
from segsrgan_study.figures.views import mask_of, view_of
from segsrgan_study.statistics.reliability import BEFORE, volume_table

PLANE = "axial"


@styled
def draw(
    bins: pd.DataFrame,
    scores: pd.DataFrame,
    image: Nifti1Image,
    labels: Nifti1Image,
    uncertainty: Nifti1Image,
    structure: str = "cortex",
) -> tuple[Figure, pd.DataFrame]:
    """Draw `bins` and `scores`, `calibration.csv` and `per_subject.csv` of `results/evaluation`, of a structure.

    Image, labels and uncertainty (probabilities) are SegSRGAN's of a test subject. Values: the bins, then the volumes.
    """
    volumes = volume_table(scores)
    volumes = volumes[volumes["structure"] == structure]
    mask = mask_of(labels, NUMBERS[structure])
    view = view_of(image, mask if np.any(mask.dataobj) else None, PLANE)
    width, height = view.size_mm(PLANE)
    fig, axes = lettered_panels(4, 44 * height / width + 16, columns=4)
    show(axes[0], image, PLANE, view)
    contour(axes[0], mask, PLANE, view, CORTEX, width=0.5)
    scale_bar(axes[0])
    drawn = show(axes[1], uncertainty, PLANE, view, cmap="inferno", vmin=0.0, vmax=0.5)
    bar = {"orientation": "horizontal", "label": "probability of a wrong label", "ticks": [0, 0.25, 0.5]}
    fig.colorbar(drawn, cax=axes[1].inset_axes([0.0, -0.1, 1.0, 0.04]), **bar)
    for ax in axes[:2]:
        ax.set_anchor("N")
    _curves(axes[2], bins)
    axes[3].plot(volumes["volume_true_ml"], volumes["volume_ml"], "o", color=BLUE)
    axes[3].axline((float(volumes["volume_true_ml"].mean()),) * 2, slope=1, color=BLACK, linestyle=":", linewidth=0.9)
    axes[3].set(xlabel=f"true volume of the {structure} (ml)", ylabel="measured (ml)")
    return fig, pd.concat([bins, volumes], ignore_index=True)


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
