"""The cortex segmented at TE = 120 ms (white) on that at TE = 280 ms (red) of the same patients."""

from collections.abc import Mapping

import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from nibabel.processing import resample_from_to

from segsrgan_core.imaging.geometry import voxel_volume_ml
from segsrgan_core.metrics import dice
from segsrgan_study.figures.panels import PLANES, View, contour, fill, frame, scale_bar, view_of
from segsrgan_study.figures.style import CORTEX, TWO_COLUMNS_MM, new_figure, panel_letters, require, styled
from segsrgan_study.files import same_grid

NAME = "te_overlay"
CAPTION = (
    "Cortex of the same patients, segmented from two acquisitions of the same day: the shorter echo time in white over "
    "the longer in red. Red is cortex at the longer echo time alone; the thin red line shows its edge where white "
    "covers it. Each column is a patient, in three planes."
)


@styled
def draw(
    patients: Mapping[str, tuple[nib.Nifti1Image, nib.Nifti1Image]], te_ms: tuple[int, int] = (120, 280)
) -> tuple[Figure, pd.DataFrame]:
    """Draw the overlay of each patient.

    Args:
        patients: name to the pair of cortex masks (non-zero inside), in the order of `te_ms`. The second is brought to
            the grid of the first (nearest voxel) where they differ.
        te_ms: the two echo times.

    Returns:
        The figure, and one row a patient: both volumes, their overlap, the volume that is in one alone.
    """
    require(len(patients) > 0, f"no patient has cortex masks at both TE = {te_ms[0]} and {te_ms[1]} ms.")
    pairs = {name: (first, _onto(second, first)) for name, (first, second) in patients.items()}
    views = _views({name: first for name, (first, _) in pairs.items()})
    heights = [height / width for width, height in map(next(iter(views.values())).size_mm, PLANES)]
    width_mm = min(TWO_COLUMNS_MM, len(pairs) * TWO_COLUMNS_MM / 3)  # one or two patients are drawn as large as three
    fig = new_figure(width_mm / len(pairs) * sum(heights) + 14, width_mm)
    axes = fig.subplots(len(PLANES), len(pairs), height_ratios=heights, squeeze=False)
    for column, (name, (first, second)) in enumerate(pairs.items()):
        for ax, plane in zip(axes[:, column], PLANES, strict=True):
            _panel(ax, first, second, plane, views[name])
        axes[0, column].set_title(name)
        scale_bar(axes[0, column])
    panel_letters(list(axes[0]))
    handles = [
        Patch(facecolor="white", edgecolor="black", linewidth=0.5, label=f"TE = {te_ms[0]} ms"),
        Patch(facecolor=CORTEX, edgecolor="black", linewidth=0.5, label=f"TE = {te_ms[1]} ms"),
    ]
    fig.legend(handles=handles, loc="outside lower center", ncols=2)
    return fig, pd.DataFrame([_row(name, *pair, te_ms) for name, pair in pairs.items()])


def _views(masks: Mapping[str, nib.Nifti1Image]) -> dict[str, View]:
    """One view a patient, all of one size; the sagittal plane lies in the middle of a hemisphere."""
    views = {name: view_of(mask, mask=mask, margin_mm=9) for name, mask in masks.items()}
    half = np.max([np.ptp(view.box_mm, axis=1) for view in views.values()], axis=0) / 2
    return {
        name: View(
            view.position_mm + np.array([np.ptp(view.box_mm[0]) / 4, 0, 0]),
            np.stack([view.box_mm.mean(axis=1) - half, view.box_mm.mean(axis=1) + half], axis=1),
            view.window,
        )
        for name, view in views.items()
    }


def _panel(ax, first: nib.Nifti1Image, second: nib.Nifti1Image, plane: str, view: View) -> None:
    fill(ax, second, plane, view, CORTEX)
    fill(ax, first, plane, view, "white")
    contour(ax, second, plane, view, CORTEX, width=0.35)
    frame(ax, plane, view)


def _onto(mask: nib.Nifti1Image, like: nib.Nifti1Image) -> nib.Nifti1Image:
    return mask if same_grid(mask, like) else resample_from_to(mask, like, order=0)


def _row(name: str, first: nib.Nifti1Image, second: nib.Nifti1Image, te_ms: tuple[int, int]) -> dict:
    a, b = (np.asanyarray(mask.dataobj) > 0 for mask in (first, second))
    voxel = voxel_volume_ml(first)
    return {
        "patient": name,
        f"volume_{te_ms[0]}_ml": a.sum() * voxel,
        f"volume_{te_ms[1]}_ml": b.sum() * voxel,
        "dice": dice(a, b),
        f"only_{te_ms[0]}_ml": (a & ~b).sum() * voxel,
        f"only_{te_ms[1]}_ml": (b & ~a).sum() * voxel,
    }
