"""One image at one echo time: its volumes, and how good they are where the truth is known."""

from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.classes import NUMBERS, SIDES
from segsrgan_core.imaging.geometry import spacing_mm, voxel_volume_ml
from segsrgan_core.metrics import dice, psnr
from segsrgan_core.segmenter import Segmentation, Segmenter
from segsrgan_study.files import load_image, load_labels
from segsrgan_study.steps.data.cases import PreparedCase

OUTSIDE_OF_SKULL = (0, NUMBERS["background"])


def measure_one(case: PreparedCase, segmenter: Segmenter) -> tuple[Segmentation, dict[str, Any]]:
    """Segment one image, on the grid of the truth where it is known.

    Returns:
        The segmentation and its row of `volumes.csv` without the ICV. True volumes, Dice of the cortex and PSNR
        (network and spline) stand in it where the truth is known on a grid of the network's voxel size.
    """
    labels = load_labels(case.labels) if case.labels else None
    interpolated = load_image(case.interpolated) if labels is not None and case.interpolated else None
    known = interpolated is not None and np.allclose(spacing_mm(labels), segmenter.card.spacing_mm, rtol=0.02)
    result = segmenter(load_image(case.low), interpolated=interpolated if known else None)
    row = {"subject": case.name, "te_ms": case.te_ms, "age_weeks": case.age_weeks}
    row |= {"cortex_ml": result.volumes_ml["cortex"], "cortex_se_ml": result.standard_errors_ml["cortex"]}
    if result.sides is not None:
        row |= {f"cortex_{side}_ml": result.volumes_ml[f"{side}_cortex"] for side in SIDES}
        row |= {"icv_mask_ml": result.volumes_ml["intracranial"]}
    if labels is not None:
        row |= _true_volumes(labels)
    if known:
        row |= _scores(result, labels, case.hr)
    return result, row


def _true_volumes(labels: Nifti1Image) -> dict[str, float]:
    numbers, volume = np.asarray(labels.dataobj), voxel_volume_ml(labels)
    inside = ~np.isin(numbers, OUTSIDE_OF_SKULL)
    return {
        "cortex_true_ml": volume * float((numbers == NUMBERS["cortex"]).sum()),
        "icv_true_ml": volume * float(inside.sum()),
    }


def _scores(result: Segmentation, labels: Nifti1Image, truth: Path | None) -> dict[str, float]:
    true, found = (_array(one) == NUMBERS["cortex"] for one in (labels, result.labels))
    scores = {"cortex_dice": dice(true, found)}
    if truth is not None:
        real = _array(load_image(truth))
        scores |= {"psnr": psnr(real, _array(result.image)), "psnr_spline": psnr(real, _array(result.interpolated))}
    return scores


def _array(image: Nifti1Image) -> np.ndarray:
    return np.asarray(image.dataobj)
