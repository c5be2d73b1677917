"""Trust in a segmentation: its map of uncertainty, the reliability of its probabilities, the errors of volumes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from nibabel.nifti1 import Nifti1Image
from scipy import stats

from segsrgan_core.classes import NUMBERS
from segsrgan_study.figures.panels import contour, mask_of, scale_bar, show, view_of
from segsrgan_study.figures.style import (
    BLACK,
    BLUE,
    CORTEX,
    CYCLE,
    GREY,
    new_figure,
    panel_letters,
    require_columns,
    styled,
)
from segsrgan_study.statistics.reliability import volume_table

CAPTION = (
    "Uncertainty on the test subjects. (a) SegSRGAN's image with the cortex that it finds in red, and (b) the "
    "probability that a voxel's label is wrong, from overlapping windows, every other one mirrored, and from networks "
    "where there are several. (c) Reliability of the probabilities within 5 mm of the structure: of the voxels with a "
    "probability in a tenth, the share that is truly inside. On the dotted line the probabilities hold what they "
    "promise; a flatter curve is that of a network which is too sure. The bars are the shares of the voxels, on a "
    "logarithmic scale from 0.1 % to 100 %. (d) Volume of the cortex as measured, with its 95 % interval, against the "
    "true one."
)


@styled
def draw(
    bins: pd.DataFrame,
    scores: pd.DataFrame,
    metrics: Mapping[str, Any],
    image: Nifti1Image,
    labels: Nifti1Image,
    uncertainty: Nifti1Image,
    structure: str = "cortex",
    plane: str = "axial",
) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure.

    Args:
        bins: `results/evaluation/calibration.csv`.
        scores: `results/evaluation/per_subject.csv`.
        metrics: `results/evaluation/metrics.json`; the intervals are Student's t, with a degree of freedom per case
            that the standard errors were learnt from.
        image: SegSRGAN's image of a test subject.
        labels: its labels.
        uncertainty: its map, probabilities.
        structure: whose outline and volumes are shown.
        plane: "axial", "coronal" or "sagittal".

    Returns:
        The figure, and the plotted values: the bins, then the volumes.
    """
    require_columns(bins, ["structure", "mean_probability", "share_inside"], "results/evaluation/calibration.csv")
    volumes = volume_table(scores)
    volumes = volumes[volumes["structure"] == structure]
    mask = mask_of(labels, NUMBERS[structure])
    view = view_of(image, mask if np.any(mask.dataobj) else None, plane)
    width, height = view.size_mm(plane)
    fig = new_figure(height_mm=44 * height / width + 16)
    axes = fig.subplots(1, 4)
    show(axes[0], image, plane, view)
    contour(axes[0], mask, plane, view, CORTEX, width=0.5)
    scale_bar(axes[0])
    drawn = show(axes[1], uncertainty, plane, view, cmap="inferno", vmin=0.0, vmax=0.5)
    bar = {"orientation": "horizontal", "label": "probability of a wrong label", "ticks": [0, 0.25, 0.5]}
    fig.colorbar(drawn, cax=axes[1].inset_axes([0.0, -0.1, 1.0, 0.04]), **bar)
    for ax in axes[:2]:
        ax.set_anchor("N")
    _curves(axes[2], bins)
    axes[3].set(xlabel=f"true volume of the {structure} (ml)", ylabel="measured (ml)")
    _volumes(axes[3], volumes, stats.t.ppf(0.975, max(metrics["standard_errors"]["cases"], 1)))
    panel_letters(axes)
    return fig, pd.concat([bins, volumes], ignore_index=True)


def _curves(ax: Axes, bins: pd.DataFrame) -> None:
    ax.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=0.9)
    names = list(bins["structure"].unique())
    for name, color in zip(names, CYCLE * len(names), strict=False):
        part = bins[bins["structure"] == name]
        label = name.replace("_", " ")
        ax.plot(part["mean_probability"], part["share_inside"], marker="o", color=color, label=label)
        if len(names) == 1:
            share = part["n_voxels"] / part["n_voxels"].sum()
            height = np.clip(1 + np.log10(share.clip(lower=1e-9)) / 3, 0, None)
            width = part["bin_high"] - part["bin_low"]
            ax.bar(part["bin_low"], height, width, align="edge", color=color, alpha=0.15, linewidth=0)
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability", ylabel="share truly inside")
    ax.legend(loc="upper left")


def _volumes(ax: Axes, volumes: pd.DataFrame, reach: float) -> None:
    places = [volumes[name] for name in ("volume_true_ml", "volume_ml")]
    ax.errorbar(*places, reach * volumes["volume_se_ml"].fillna(0), fmt="o", color=BLUE, capsize=2, linewidth=0.9)
    ax.axline((float(volumes["volume_true_ml"].mean()),) * 2, slope=1, color=BLACK, linestyle=":", linewidth=0.9)
