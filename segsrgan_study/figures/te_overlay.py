"""Cortex segmented at a short echo time over that at a longer one of the same patients."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.patches import Patch
from nibabel.nifti1 import Nifti1Image
from nibabel.processing import resample_from_to

from segsrgan_core.imaging.geometry import voxel_volume_ml
from segsrgan_core.metrics import dice
from segsrgan_study.figures.panels import contour, fill, scale_bar, three_rows
from segsrgan_study.figures.style import CORTEX, TWO_COLUMNS_MM, Plot, panel_letters, require, styled
from segsrgan_study.figures.views import PLANES, view_of
from segsrgan_study.files import same_grid

TE_MS = (120, 280)


@styled
def draw(patients: Mapping[str, tuple[Nifti1Image, Nifti1Image]]) -> Plot:
    """Draw for each patient, by name, the pair of cortex masks (non-zero inside), in the order of `TE_MS`.

    The second is brought to the grid of the first (nearest voxel) where they differ. Values: both volumes, their
    overlap, the volume that is in one alone.
    """
    require(len(patients) > 0, f"no patient has cortex masks at both TE = {TE_MS[0]} and {TE_MS[1]} ms.")
    pairs = {name: (a, b if same_grid(a, b) else resample_from_to(b, a, order=0)) for name, (a, b) in patients.items()}
    views = [view_of(first, mask=first) for first, _ in pairs.values()]
    size = np.max([np.ptp(view.box_mm, axis=1) for view in views], axis=0)[:, None]
    width_mm = min(TWO_COLUMNS_MM, len(pairs) * TWO_COLUMNS_MM / 3)  # one or two patients are drawn as large as three
    whole = replace(views[0], box_mm=size * [-0.5, 0.5])
    fig, axes = three_rows(whole, len(pairs), width_mm, below_mm=7)
    rows = []
    for column, view, (name, (first, second)) in zip(axes.T, views, pairs.items(), strict=True):
        aside = np.array([np.ptp(view.box_mm[0]) / 4, 0, 0])  # the sagittal plane halves a hemisphere
        box = view.box_mm.mean(axis=1, keepdims=True) + whole.box_mm
        view = replace(view, position_mm=view.position_mm + aside, box_mm=box)
        for ax, plane in zip(column, PLANES, strict=True):
            fill(ax, second, plane, view, CORTEX)
            fill(ax, first, plane, view, "white")
            contour(ax, second, plane, view, CORTEX, width=0.35)
        column[0].set_title(name)
        scale_bar(column[0])
        a, b = (np.asanyarray(mask.dataobj) > 0 for mask in (first, second))
        both, alone = ([m.sum() * voxel_volume_ml(first) for m in pair] for pair in ((a, b), (a & ~b, b & ~a)))
        rows.append([name, *both, dice(a, b), *alone])
    panel_letters(axes[0])
    look = {"edgecolor": "black", "linewidth": 0.5}
    colours = zip(TE_MS, ("white", CORTEX), strict=True)
    handles = [Patch(facecolor=colour, label=f"TE = {te} ms", **look) for te, colour in colours]
    fig.legend(handles=handles, loc="lower center", ncols=2)
    columns = ["patient", *(f"volume_{te}_ml" for te in TE_MS), "dice", *(f"only_{te}_ml" for te in TE_MS)]
    return fig, pd.DataFrame(rows, columns=columns)
