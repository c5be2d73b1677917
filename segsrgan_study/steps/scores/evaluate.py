"""Stage 03: every method on every test case, against the truth."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.atomic import write_json
from segsrgan_core.classes import DRAWEM9
from segsrgan_core.imaging.geometry import spacing_mm
from segsrgan_core.networks.functions import choose_policy
from segsrgan_core.segmenter import ModelCard, Segmenter, load_segmenter
from segsrgan_study.cost import Cost, metered, note_costs
from segsrgan_study.files import load_image, load_labels, save_image, write_csv
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study
from segsrgan_study.progress import track
from segsrgan_study.scores import image_scores, label_scores, score_table
from segsrgan_study.statistics.summary import summarise, with_methods
from segsrgan_study.steps.data.cases import PreparedCase, prepared_cases
from segsrgan_study.steps.labels.labelled import LABELLED, NO_RUNS, labels_path, read_runs, reasons
from segsrgan_study.steps.scores.reliability import Reliability, standard_errors


def trained_segmenter(study: Study, settings: Settings) -> Segmenter:
    """Load the network that stage 02 trained."""
    policy = choose_policy(settings.model.precision)
    return load_segmenter(study.results / "training" / "model", policy)


def evaluate(study: Study, settings: Settings, segmenter: Segmenter | None = None) -> tuple[pd.DataFrame, dict]:
    """Score SegSRGAN, cubic spline and the baselines on the test cases; write tables and the segmented images.

    Args:
        study: where.
        settings: in force.
        segmenter: another network than the one that stage 02 trained.

    Returns:
        The long table of scores (one row a case, method, structure and metric) and its summary, which has an entry for
        methods that could not be run, too.
    """
    runs, methods = read_runs(study) if settings.baselines.methods else NO_RUNS
    segmenter = segmenter or trained_segmenter(study, settings)
    cases = prepared_cases(study, "test")
    rows: list[dict] = []
    reliability = Reliability()
    costs: dict[str, Cost] = {}
    for case in track(cases, "evaluated"):
        labelled = runs.loc[(runs["subject"] == case.name) & (runs["outcome"] == LABELLED), "method"]
        found, costs[case.name] = _evaluate_one(case, segmenter, settings.cohort, study.work / "evaluated", reliability)
        rows += found + _score_baselines(study, case, segmenter.card, settings.cohort, labelled)
    note_costs(study.costs, "evaluate", {"SegSRGAN": costs})
    table = score_table(rows)
    summary = {"cohort": settings.cohort, **summarise(table, seed=settings.seed)}
    summary = with_methods(summary, methods, reasons(runs), segmenter.card.classes)
    summary["standard_errors"] = standard_errors(table, segmenter.card.error_cases)
    folder = study.results / "evaluation"
    reliability.write(folder)
    write_csv(folder / "per_subject.csv", table)
    write_json(folder / "metrics.json", summary)
    return table, summary


def _evaluate_one(
    case: PreparedCase, segmenter: Segmenter, cohort: str, folder: Path, reliability: Reliability
) -> tuple[list[dict], Cost]:
    truth, interpolated = load_image(case.hr), load_image(case.interpolated)
    truth_array = np.asarray(truth.dataobj)
    labels = np.asarray(load_labels(case.labels).dataobj)
    low = load_image(case.low)
    with metered() as cost:
        result = segmenter(low, interpolated=interpolated)
    save_image(result.image, folder / f"{case.name}_desc-segsrgan_T2w.nii.gz")
    save_image(result.labels, folder / f"{case.name}_desc-segsrgan_dseg.nii.gz")
    save_image(result.uncertainty, folder / f"{case.name}_desc-segsrganuncertainty_probseg.nii.gz")
    who = {"cohort": cohort, "subject": case.name}
    rows = image_scores(truth_array, np.asarray(interpolated.dataobj), {**who, "method": "spline"})
    rows += image_scores(truth_array, np.asarray(result.image.dataobj), {**who, "method": "segsrgan"})
    spacing, who = spacing_mm(truth), {**who, "method": "segsrgan"}
    if result.sides is not None:
        save_image(result.sides, folder / f"{case.name}_desc-segsrganhemispheres_dseg.nii.gz")
        found, true = np.asarray(result.sides.dataobj), np.asarray(load_labels(case.sides).dataobj)
        rows += label_scores(true, found, spacing, dict(enumerate(("left_hemisphere", "right_hemisphere"), 1)), who)
        rows += label_scores(true > 0, found > 0, spacing, {1: "intracranial"}, who)
    names = _structures(segmenter.card)
    rows += label_scores(labels, np.asarray(result.labels.dataobj), spacing, names, who)
    return rows + reliability.add(result, labels, names, who), cost


def _score_baselines(
    study: Study, case: PreparedCase, card: ModelCard, cohort: str, methods: Iterable[str]
) -> list[dict]:
    """Score the methods on the tissues that the network segments; they label all nine."""
    truth, rows = load_labels(case.labels), []
    for method in methods:
        labels = load_labels(labels_path(study, case.name, method))
        who = {"cohort": cohort, "subject": case.name, "method": method}
        arrays = (np.asarray(one.dataobj) for one in (truth, labels))
        rows += label_scores(*arrays, spacing_mm(truth), _structures(card), who)
    return rows


def _structures(card: ModelCard) -> dict[int, str]:
    return {number: name for number, name in DRAWEM9.items() if name in card.classes}


def example(study: Study, split: str = "test") -> dict[str, Nifti1Image]:
    """Return the images of the first evaluated case for a figure.

    These are truth, low, spline, sr, labels_truth, labels and uncertainty.
    """
    case = prepared_cases(study, split)[0]
    folder = study.work / "evaluated"
    return {
        "truth": load_image(case.hr),
        "low": load_image(case.low),
        "spline": load_image(case.interpolated),
        "labels_truth": load_labels(case.labels),
        "sr": load_image(folder / f"{case.name}_desc-segsrgan_T2w.nii.gz"),
        "uncertainty": load_image(folder / f"{case.name}_desc-segsrganuncertainty_probseg.nii.gz"),
        "labels": load_labels(folder / f"{case.name}_desc-segsrgan_dseg.nii.gz"),
    }
