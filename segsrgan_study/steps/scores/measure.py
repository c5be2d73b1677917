"""Stage 04: volumes of every patient at every echo time, and how good each segmentation is."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.classes import NUMBERS, SIDES
from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import spacing_mm, voxel_volume_ml
from segsrgan_core.metrics import dice, psnr
from segsrgan_core.segmenter import Segmentation, Segmenter
from segsrgan_study.bet.extraction import bet_mask
from segsrgan_study.files import load_image, load_labels
from segsrgan_study.params import VariabilitySettings
from segsrgan_study.paths import Study
from segsrgan_study.shapes.cortex import cortical_shape
from segsrgan_study.steps.data.cases import PreparedCase, prepared_cases
from segsrgan_study.steps.scores.segmented import save_segmentation

COLUMNS = ["subject", "te_ms", "age_weeks", "cortex_ml", "icv_ml", "cortex_over_icv"]
COLUMNS += ["icv_bet_ml", "cortex_over_icv_bet", "icv_differs"]
DIFFERENCE = 0.1  # between the two intracranial volumes, a share of the network's; above it a case is marked
OUTSIDE_OF_SKULL = (0, NUMBERS["background"])


def variability_cases(study: Study) -> list[PreparedCase]:
    """Return the images at several echo times; a UserError where a patient has two at one echo time."""
    cases = prepared_cases(study, "variability")
    for (name, te_ms), count in Counter((case.name, case.te_ms) for case in cases).items():
        if count > 1:
            advice = "give the second a session of its own in the manifest, or remove it"
            raise UserError(f"{name}: two images at TE {te_ms:g} ms, and the analysis takes one; {advice}.")
    return cases


def measure_case(study: Study, case: PreparedCase, segmenter: Segmenter, bet: VariabilitySettings) -> dict[str, Any]:
    """Segment one image, keep the result in `data/measured`, and return its row: of `measure_one`, and BET's ICV."""
    result, row = measure_one(case, segmenter)
    save_segmentation(result, study.work / "measured", case.stem)
    mask = bet_mask(load_image(case.low), bet.bet_threshold, bet.bet_program)
    return row | {"icv_bet_ml": float(np.count_nonzero(mask.dataobj) * voxel_volume_ml(mask))}


def true_volumes_ml(labels: Nifti1Image) -> dict[str, float]:
    """Return the true volumes that drawem9 labels tell, by column of the tables of stage 04."""
    numbers, voxel_ml = np.asarray(labels.dataobj), voxel_volume_ml(labels)
    masks = {"cortex": numbers == NUMBERS["cortex"], "icv": ~np.isin(numbers, OUTSIDE_OF_SKULL)}
    return {f"{name}_true_ml": voxel_ml * float(mask.sum()) for name, mask in masks.items()}


def measure_one(case: PreparedCase, segmenter: Segmenter) -> tuple[Segmentation, dict[str, Any]]:
    """Segment one image, on the grid of the truth where it is known, by a network of the cortex and the hemispheres.

    Beside the segmentation its row of `volumes.csv` without BET's ICV is returned: volumes in ml; where white matter is
    known, the shape of each hemisphere's cortex; true volumes where labels are known; Dice of the cortex and PSNR
    (network and spline) where they are known on a grid of the network's voxel size.
    """
    labels = load_labels(case.labels) if case.labels else None
    known = labels is not None and np.allclose(spacing_mm(labels), segmenter.card.spacing_mm, rtol=0.02)
    result = segmenter(load_image(case.low), interpolated=load_image(case.interpolated) if known else None)
    ml = result.volumes_ml
    row = {"subject": case.name, "te_ms": case.te_ms, "age_weeks": case.age_weeks, "cortex_ml": ml["cortex"]}
    if result.sides is not None:
        row |= {f"cortex_{side}_ml": ml[f"{side}_cortex"] for side in SIDES} | {"icv_ml": ml["intracranial"]}
        if "white" in segmenter.card.classes:
            row |= cortical_shape(result.labels, result.sides)
    if labels is not None:
        row |= true_volumes_ml(labels)
    if known:
        row["cortex_dice"] = dice(*(np.asarray(one.dataobj) == NUMBERS["cortex"] for one in (labels, result.labels)))
    if known and case.hr is not None:
        real = np.asarray(load_image(case.hr).dataobj)
        images = {"psnr": result.image, "psnr_spline": result.interpolated}
        row |= {name: psnr(real, np.asarray(image.dataobj)) for name, image in images.items()}
    return result, row


def volume_table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return the rows as the table of `volumes.csv`.

    `icv_ml` is the volume of the network's intracranial mask, `icv_bet_ml` that of BET; `icv_differs` tells where they
    are more than `DIFFERENCE` apart. The cortex is divided by both; a ratio to an empty mask is NaN.
    """
    volumes = pd.DataFrame(rows, columns=None if rows else COLUMNS).astype({"te_ms": int})
    for end in ("", "_bet"):
        icv = volumes[f"icv{end}_ml"].astype(float)
        volumes[f"cortex_over_icv{end}"] = volumes["cortex_ml"] / icv.where(icv > 0)
    volumes["icv_differs"] = (volumes["icv_bet_ml"] - volumes["icv_ml"]).abs() > DIFFERENCE * volumes["icv_ml"]
    return volumes[[*COLUMNS, *(name for name in volumes if name not in COLUMNS)]]
