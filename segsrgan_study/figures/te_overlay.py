"""Cortex segmented at a short echo time over that at a longer one of the same patients."""

from collections.abc import Mapping

import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from nibabel.processing import resample_from_to

from segsrgan_core.imaging.geometry import voxel_volume_ml
from segsrgan_core.metrics import dice
from segsrgan_study.figures.panels import PLANES, View, contour, fill, scale_bar, three_rows, view_of
from segsrgan_study.figures.style import CORTEX, TWO_COLUMNS_MM, panel_letters, require, styled
from segsrgan_study.files import same_grid

CAPTION = (
    "Cortex of the same patients, segmented from two acquisitions of the same day: the shorter echo time in white over "
    "the longer in red. Red is cortex at the longer echo time alone; the thin red line shows its edge where white "
    "covers it. Each column is a patient, in three planes."
)
TE_MS = (120, 280)


@styled
def draw(
    patients: Mapping[str, tuple[nib.Nifti1Image, nib.Nifti1Image]], te_ms: tuple[int, int] = TE_MS
) -> tuple[Figure, pd.DataFrame]:
    """Draw the overlay of each patient.

    Args:
        patients: name to the pair of cortex masks (non-zero inside), in the order of `te_ms`. The second is brought to
            the grid of the first (nearest voxel) where they differ.
        te_ms: the two echo times.

    Returns:
        The figure, and a row per patient: both volumes, their overlap, the volume that is in one alone.
    """
    require(len(patients) > 0, f"no patient has cortex masks at both TE = {te_ms[0]} and {te_ms[1]} ms.")
    pairs = {name: (a, b if same_grid(a, b) else resample_from_to(b, a, order=0)) for name, (a, b) in patients.items()}
    views = _views({name: first for name, (first, _) in pairs.items()})
    width_mm = min(TWO_COLUMNS_MM, len(pairs) * TWO_COLUMNS_MM / 3)  # one or two patients are drawn as large as three
    fig, axes = three_rows(next(iter(views.values())), len(pairs), width_mm, titles_mm=14)
    for column, (name, (first, second)) in enumerate(pairs.items()):
        for ax, plane in zip(axes[:, column], PLANES, strict=True):
            fill(ax, second, plane, views[name], CORTEX)
            fill(ax, first, plane, views[name], "white")
            contour(ax, second, plane, views[name], CORTEX, width=0.35)
        axes[0, column].set_title(name)
        scale_bar(axes[0, column])
    panel_letters(list(axes[0]))
    look = {"edgecolor": "black", "linewidth": 0.5}
    colours = zip(te_ms, ("white", CORTEX), strict=True)
    handles = [Patch(facecolor=colour, label=f"TE = {te} ms", **look) for te, colour in colours]
    fig.legend(handles=handles, loc="outside lower center", ncols=2)
    return fig, pd.DataFrame([_row(name, *pair, te_ms) for name, pair in pairs.items()])


def _views(masks: Mapping[str, nib.Nifti1Image]) -> dict[str, View]:
    """A view per patient, all of one size; the sagittal plane lies in the middle of a hemisphere."""
    views = {name: view_of(mask, mask=mask, margin_mm=9) for name, mask in masks.items()}
    size = np.max([np.ptp(view.box_mm, axis=1) for view in views.values()], axis=0)
    for name, view in views.items():
        box = view.box_mm.mean(axis=1)[:, None] + size[:, None] * [-0.5, 0.5]
        views[name] = View(view.position_mm + np.array([np.ptp(view.box_mm[0]) / 4, 0, 0]), box, view.window)
    return views


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
