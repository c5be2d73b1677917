"""How the volume of the main tissue drifts with the contrast, measured on known heads at random contrasts."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.classes import NUMBERS, main_tissue
from segsrgan_core.drift import Drift, darkness
from segsrgan_core.imaging.resynthesis import draw_signals, resynthesise, tissue_signals
from segsrgan_core.segmenter import ModelCard, Segmenter
from segsrgan_study.files import load_image, load_labels
from segsrgan_study.params import Settings
from segsrgan_study.progress import track
from segsrgan_study.steps.data.cases import PreparedCase

DRAWS = 4  # contrasts of a head
ENDS = (5, 95)  # percentiles of the contrasts between which the line holds
SURE = 2.0  # standard errors


def contrast_table(segmenter: Segmenter, cases: Sequence[PreparedCase], settings: Settings) -> pd.DataFrame:
    """Re-synthesise heads at random TE, TR and relaxation values, as the training does, and segment their slices.

    One row per head and draw is returned: head, contrast at the tissue's edge, log_ratio of found over true volume;
    none where the training knows no physics of contrast.
    """
    segmenter = replace(segmenter, card=replace(segmenter.card, drift=None))
    number, rows = NUMBERS[main_tissue(segmenter.card.classes)], []
    for case in track(cases if settings.training.contrast_model == "physics" else (), "contrasts"):
        image, labels = load_image(case.hr), np.asarray(load_labels(case.labels).dataobj).astype(np.uint8)
        array, true = np.asarray(image.dataobj, np.float32), labels == number
        signals = tissue_signals(array, labels)
        for draw in range(DRAWS):
            rng = np.random.default_rng([settings.seed, draw, *case.name.encode()])
            drawn = resynthesise(array, labels, signals, draw_signals(rng, settings.training.tissue_spread))
            result = segmenter(settings.simulation.acquire(Nifti1Image(drawn, image.affine), rng), like=image)
            found = np.asarray(result.labels.dataobj) == number
            if found.any() and true.any():
                sides = None if result.sides is None else np.asarray(result.sides.dataobj)
                contrast = darkness(np.asarray(result.image.dataobj), found, sides)
                rows.append((case.name, contrast, np.log(found.sum() / true.sum())))
    return pd.DataFrame(rows, columns=["head", "contrast", "log_ratio"]).dropna()


def with_drift(card: ModelCard, table: pd.DataFrame) -> ModelCard:
    """Return the card with the line of `contrast_table`, the same slope for all heads; none if its slope may be 0."""
    x, y = (table[name] - table.groupby("head")[name].transform("mean") for name in ("contrast", "log_ratio"))
    left = len(table) - table["head"].nunique() - 1
    if left < 1 or not x.any():
        return replace(card, drift=None)
    slope = float((x * y).sum() / (x**2).sum())
    error = np.sqrt(((y - slope * x) ** 2).sum() / left / (x**2).sum())
    if abs(slope) < SURE * error:
        return replace(card, drift=None)
    line = slope, table["contrast"].mean(), *np.percentile(table["contrast"], ENDS)
    return replace(card, drift=Drift(*(round(float(value), 4) for value in line)))
