"""Stage 03: every method on every test case, against the truth."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.cohorts.labels import DRAWEM9
from segsrgan_core.imaging.degrade import interpolate
from segsrgan_core.imaging.files import load_image, load_labels, save_image, write_csv, write_json
from segsrgan_core.imaging.geometry import spacing_mm
from segsrgan_core.metrics import image_scores, label_scores, score_table
from segsrgan_core.networks.functions import choose_policy
from segsrgan_core.params import Settings
from segsrgan_core.paths import Study
from segsrgan_core.progress import track
from segsrgan_core.segmenter import Segmenter, load_segmenter
from segsrgan_core.stages.cases import PreparedCase, prepared_cases
from segsrgan_core.stages.reliability import Reliability, standard_errors
from segsrgan_core.summary import summarise


def trained_segmenter(study: Study, settings: Settings) -> Segmenter:
    """Load the network that stage 02 trained."""
    policy = choose_policy(settings.model.precision)
    inference = settings.inference
    return load_segmenter(study.results / "training" / "model", inference.step, policy, inference.flips)


def evaluate(study: Study, settings: Settings, segmenter: Segmenter | None = None) -> tuple[pd.DataFrame, dict]:
    """Score SegSRGAN and cubic spline on the test cases; write tables and the segmented images.

    Args:
        study: where.
        settings: in force.
        segmenter: another network than the one that stage 02 trained.

    Returns:
        The long table of scores (one row a case, method, structure and metric) and its summary.
    """
    segmenter = segmenter or trained_segmenter(study, settings)
    cases = list(prepared_cases(study, "test"))
    rows: list[dict] = []
    reliability = Reliability()
    for case in track(cases, "evaluated"):
        rows += _evaluate_one(case, segmenter, settings.cohort, study.work / "evaluated", reliability)
    table = score_table(rows)
    summary = {"cohort": settings.cohort, **summarise(table, seed=settings.seed)}
    summary["standard_errors"] = standard_errors(table, segmenter.card.error_cases)
    folder = study.results / "evaluation"
    reliability.write(folder)
    write_csv(folder / "per_subject.csv", table)
    write_json(folder / "metrics.json", summary)
    return table, summary


def _evaluate_one(
    case: PreparedCase, segmenter: Segmenter, cohort: str, folder: Path, reliability: Reliability
) -> list[dict]:
    truth = load_image(case.image)
    truth_array = np.asarray(truth.dataobj)
    labels = np.asarray(load_labels(case.labels).dataobj)
    low = load_image(case.low)
    result = segmenter(low, like=truth)
    save_image(result.image, folder / f"{case.name}_desc-segsrgan_T2w.nii.gz")
    save_image(result.labels, folder / f"{case.name}_desc-segsrgan_dseg.nii.gz")
    save_image(result.uncertainty, folder / f"{case.name}_desc-segsrganuncertainty_probseg.nii.gz")
    names = {number: name for number, name in DRAWEM9.items() if name in segmenter.card.classes}
    who = {"cohort": cohort, "subject": case.name}
    spline = np.asarray(interpolate(low, like=truth).dataobj)
    rows = image_scores(truth_array, spline, {**who, "method": "spline"})
    rows += image_scores(truth_array, np.asarray(result.image.dataobj), {**who, "method": "segsrgan"})
    spacing, who = spacing_mm(truth), {**who, "method": "segsrgan"}
    if result.sides is not None:
        save_image(result.sides, folder / f"{case.name}_desc-segsrganhemispheres_dseg.nii.gz")
        found, true = np.asarray(result.sides.dataobj), np.asarray(load_labels(case.sides).dataobj)
        rows += label_scores(true, found, spacing, dict(enumerate(("left_hemisphere", "right_hemisphere"), 1)), who)
        rows += label_scores(true > 0, found > 0, spacing, {1: "intracranial"}, who)
    rows += label_scores(labels, np.asarray(result.labels.dataobj), spacing, names, who)
    return rows + reliability.add(result, labels, names, who)


def example(study: Study, split: str = "test") -> dict[str, Nifti1Image]:
    """Return the images of the first evaluated case for a figure.

    These are truth, low, spline, sr, labels_truth, labels and uncertainty.
    """
    case = next(prepared_cases(study, split))
    truth, low = load_image(case.image), load_image(case.low)
    folder = study.work / "evaluated"
    return {
        "truth": truth,
        "low": low,
        "spline": interpolate(low, like=truth),
        "labels_truth": load_labels(case.labels),
        "sr": load_image(folder / f"{case.name}_desc-segsrgan_T2w.nii.gz"),
        "uncertainty": load_image(folder / f"{case.name}_desc-segsrganuncertainty_probseg.nii.gz"),
        "labels": nib.as_closest_canonical(load_labels(folder / f"{case.name}_desc-segsrgan_dseg.nii.gz")),
    }
