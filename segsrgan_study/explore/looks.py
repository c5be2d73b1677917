"""Everything there is to see of one image: thick slices, interpolation, super-resolution, truth, cortex, numbers."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.classes import NUMBERS
from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import resample_isotropic, resample_like, spacing_mm, voxel_volume_ml
from segsrgan_core.metrics import dice, psnr
from segsrgan_core.segmenter import Segmenter
from segsrgan_study.cohorts.manifest import locate, read_manifest
from segsrgan_study.cohorts.schema import COLUMNS, Row
from segsrgan_study.figures.panels import mask_of
from segsrgan_study.files import load_image, load_labels, same_grid
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study
from segsrgan_study.steps.data.images import case_images, case_name

LOW, SPLINE, SEGSRGAN, TRUTH = "thick slices", "cubic spline", "SegSRGAN", "truth"
ACQUIRED_THICK = "variability"  # the split whose images are thick slices as they were acquired


@dataclass(frozen=True)
class Look:
    """One image and what is known of it, in one world space.

    Attributes:
        images: title to image, in the order of the panels.
        cortex: SEGSRGAN and TRUTH to the mask of the cortex, where known.
        uncertainty: the probability that a voxel's label is wrong, where known.
        numbers: what is measured, name to value with unit.
    """

    images: dict[str, Nifti1Image]
    cortex: dict[str, Nifti1Image] = field(default_factory=dict)
    uncertainty: Nifti1Image | None = None
    numbers: dict[str, str] = field(default_factory=dict)


class _Found(NamedTuple):
    image: Nifti1Image
    labels: Nifti1Image
    uncertainty: Nifti1Image | None = None
    standard_error_ml: float = np.nan


def cohorts(study: Study) -> list[str]:
    """Return the cohorts that have a manifest."""
    return sorted(path.stem for path in study.manifests.glob("*.csv"))


def rows_by_subject(study: Study, cohort: str) -> dict[str, list[Row]]:
    """Return the rows of a cohort's manifest by subject (and session), in the manifest's order."""
    found: dict[str, list[Row]] = {}
    manifest = read_manifest(study.manifest(cohort))
    for values in manifest[list(COLUMNS)].itertuples(index=False, name=None):
        row = Row(*values)
        found.setdefault(case_name(row), []).append(row)
    return found


def look_at(study: Study, settings: Settings, row: Row, segmenter: Segmenter | None = None) -> Look:
    """Gather what there is of one row of a manifest.

    Args:
        study: where.
        settings: those of the study, with the row's cohort.
        row: of the manifest.
        segmenter: segments the image now; without one the results of the stages are read where they are there.

    Raises:
        UserError: an image is missing or at fault.
    """
    there(study, settings, row)
    low, truth, labels, _, spline = case_images(study, settings, row)
    found = _segmented(segmenter, low, truth) if segmenter else _stored(study, settings.cohort, row)
    if truth is None:
        spline = resample_like(low, found.image) if found else resample_isotropic(low, float(spacing_mm(low).min()))
    images = {LOW: low, SPLINE: spline}
    images |= {SEGSRGAN: found.image} if found else {}
    images |= {TRUTH: truth} if truth is not None else {}
    cortex = {SEGSRGAN: found.labels} if found else {}
    cortex |= {TRUTH: labels} if labels is not None else {}
    cortex = {title: mask_of(numbers, NUMBERS["cortex"]) for title, numbers in cortex.items()}
    numbers = _numbers(images, cortex, found) | _intracranial(study, settings.cohort, row)
    return Look(images, cortex, found.uncertainty if found else None, numbers)


def there(study: Study, settings: Settings, row: Row) -> Path:
    """Return where a row's image lies.

    Raises:
        UserError: it is not there; the message says how it comes there.
    """
    path = locate(study.data_root(settings.cohort), row.image)
    if not path.is_file():
        raise UserError(
            f"{path}: expected an image of the cohort {row.cohort}; received nothing there; with `cohort: {row.cohort}`"
            " in params.yaml `make repro` makes or fetches what it may; else put your own copy there."
        )
    return path


def _segmented(segmenter: Segmenter, low: Nifti1Image, truth: Nifti1Image | None) -> _Found:
    result = segmenter(low, like=truth)
    return _Found(result.image, result.labels, result.uncertainty, result.standard_errors_ml.get("cortex", np.nan))


def _stored(study: Study, cohort: str, row: Row) -> _Found | None:
    """Read what the stages 03 and 04 left of an image, if it is of this cohort."""
    thick = row.split == ACQUIRED_THICK
    if _cohort_of(study.results / ("variability" if thick else "evaluation") / "metrics.json") != cohort:
        return None
    name = case_name(row) + (f"_acq-te{row.te_ms:g}" if thick else "")
    base = study.work / ("measured" if thick else "evaluated") / f"{name}_desc-segsrgan"
    image, labels, doubt = (Path(f"{base}{end}.nii.gz") for end in ("_T2w", "_dseg", "uncertainty_probseg"))
    if not (image.is_file() and labels.is_file()):
        return None
    return _Found(load_image(image), load_labels(labels), load_image(doubt) if doubt.is_file() else None)


def _cohort_of(path: Path) -> str | None:
    return json.loads(path.read_text(encoding="utf-8")).get("cohort") if path.is_file() else None


def _numbers(images: dict[str, Nifti1Image], cortex: dict[str, Nifti1Image], found: _Found | None) -> dict[str, str]:
    volumes = {title: voxel_volume_ml(mask) * np.count_nonzero(mask.dataobj) for title, mask in cortex.items()}
    numbers = {f"cortex, {title}": f"{volume:.1f} ml" for title, volume in volumes.items()}
    if found and np.isfinite(found.standard_error_ml):
        numbers[f"cortex, {SEGSRGAN}"] += f" (standard error {found.standard_error_ml:.1f} ml)"
    if len(cortex) == 2 and volumes[TRUTH]:
        numbers["error of the volume"] = f"{100 * (volumes[SEGSRGAN] / volumes[TRUTH] - 1):+.1f} %"
        if same_grid(cortex[SEGSRGAN], cortex[TRUTH]):
            overlap = dice(np.asarray(cortex[TRUTH].dataobj), np.asarray(cortex[SEGSRGAN].dataobj))
            numbers["Dice of the cortex"] = f"{overlap:.3f}"
    for title in (SPLINE, SEGSRGAN):
        if TRUTH in images and title in images and same_grid(images[title], images[TRUTH]):
            truth, estimate = (np.asarray(images[key].dataobj) for key in (TRUTH, title))
            numbers[f"PSNR, {title}"] = f"{psnr(truth, estimate):.2f} dB"
    return numbers


def _intracranial(study: Study, cohort: str, row: Row) -> dict[str, str]:
    """Look up the intracranial volume that stage 04 measured."""
    path = study.results / "variability" / "volumes.csv"
    if row.split != ACQUIRED_THICK or _cohort_of(path.with_name("metrics.json")) != cohort or not path.is_file():
        return {}
    volumes = pd.read_csv(path, dtype={"subject": str})
    same = (volumes["subject"] == case_name(row)) & (volumes["te_ms"] == row.te_ms)
    return {"intracranial volume (BET)": f"{volumes.loc[same, 'icv_ml'].iloc[0]:.0f} ml"} if same.any() else {}
