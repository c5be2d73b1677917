"""Stage 03: the methods' scores on the test cases, against the truth."""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.atomic import write_json
from segsrgan_core.classes import DRAWEM9, Classes, main_tissue
from segsrgan_core.imaging.geometry import spacing_mm
from segsrgan_core.segmenter import ModelCard, Segmenter
from segsrgan_core.uncertainty import error_probability
from segsrgan_study.cost import note_costs
from segsrgan_study.files import load_image, load_labels, write_csv
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study
from segsrgan_study.scores import image_scores, label_scores, score_table
from segsrgan_study.shapes.cortex import cortical_shape
from segsrgan_study.statistics.reliability import BEFORE, expected_error, near_truth, pooled, ranking, reliability_bins
from segsrgan_study.statistics.summary import summarise, with_methods
from segsrgan_study.statistics.truth import found_differences, volume_shares
from segsrgan_study.steps.data.cases import PreparedCase
from segsrgan_study.steps.labels.labelled import LABELLED, NO_RUNS, labels_path, reasons
from segsrgan_study.steps.scores.segmented import save_segmentation

BINS = {"structure": str, "bin_low": float, "bin_high": float}
BINS |= {"n_voxels": int, "probability_sum": float, "true_sum": float}
SIDES = {1: "left_hemisphere", 2: "right_hemisphere"}


class CaseScores(NamedTuple):
    """Scores of one test case."""

    name: str
    rows: list[dict]  # of the long table: subject, method, structure, metric, value
    bins: pd.DataFrame  # rows of `reliability_bins` with the structure, one that the truth has
    seconds: float  # of the segmentation


def uncalibrated(card: ModelCard, probabilities: Mapping[str, np.ndarray]) -> tuple[dict, np.ndarray, np.ndarray]:
    """Return probabilities, by class, labels and their probability before temperature and biases of the card."""
    classes = Classes(card.classes)
    stacked = np.stack([*probabilities.values()], -1)
    if classes.tissue_channels > 1:
        stacked = np.concatenate([1 - stacked.sum(-1, keepdims=True), stacked], -1)
    biases = {name: -bias / card.temperature for name, bias in card.biases.items()}
    classes.calibrate(stacked, 1 / card.temperature, biases)
    return classes.of(stacked), *classes.decode(stacked)


def evaluate_case(
    study: Study, case: PreparedCase, segmenter: Segmenter, runs: pd.DataFrame = NO_RUNS[0]
) -> CaseScores:
    """Segment a test case, keep its images in `data/evaluated`, and score SegSRGAN, cubic spline and other methods.

    All are scored on the network's tissues; the other methods are those that labelled the case in `runs`.
    """
    interpolated, truth, labels = load_image(case.interpolated), load_image(case.hr), load_labels(case.labels)
    start = time.monotonic()
    result = segmenter(load_image(case.low), interpolated=interpolated)
    seconds = time.monotonic() - start
    save_segmentation(result, study.work / "evaluated", case.name)
    names = {number: name for number, name in DRAWEM9.items() if name in segmenter.card.classes}
    spacing, true, labelled = spacing_mm(truth), np.asarray(labels.dataobj), np.asarray(result.labels.dataobj)
    wished = np.where(np.isin(true, list(names)), true, 0).astype(np.uint8)  # of the tissues that the network knows
    spline, network = ({"subject": case.name, "method": method} for method in ("spline", "segsrgan"))
    rows = image_scores(np.asarray(truth.dataobj), np.asarray(interpolated.dataobj), spline)
    rows += image_scores(np.asarray(truth.dataobj), np.asarray(result.image.dataobj), network)
    rows += label_scores(true, labelled, spacing, names, network)
    if result.sides is not None:
        halves = load_labels(case.sides)
        found, sides = np.asarray(result.sides.dataobj), np.asarray(halves.dataobj)
        rows += label_scores(sides, found, spacing, SIDES, network)
        rows += label_scores(sides > 0, found > 0, spacing, {1: "intracranial"}, network)
    if result.sides is not None and "white" in segmenter.card.classes:
        shapes = {"": (result.labels, result.sides), "true_": (Nifti1Image(wished, labels.affine), halves)}
        for kind, maps in shapes.items():
            for name, value in cortical_shape(*maps).items():
                side, _, measure = name.partition("_")
                rows += [{**network, "structure": f"{side}_hemisphere", "metric": kind + measure, "value": value}]
    for method in runs.loc[(runs["subject"] == case.name) & (runs["outcome"] == LABELLED), "method"]:
        other = np.asarray(load_labels(labels_path(study, case.name, method)).dataobj)
        rows += label_scores(true, other, spacing, names, {"subject": case.name, "method": method})
    after = {name: np.asarray(p.dataobj) for name, p in result.probabilities.items()}
    before, former, likely = uncalibrated(segmenter.card, after)
    sharp = error_probability(likely, np.inf)
    maps = {"auc_wrong": (np.asarray(result.uncertainty.dataobj), labelled), "auc_wrong_before": (sharp, former)}
    if np.any(wished):
        near, who = near_truth(wished, spacing), {**network, "structure": main_tissue(segmenter.card.classes)}
        values = {metric: ranking(doubt, wished, said, near) for metric, (doubt, said) in maps.items()}
        values["auc_wrong_everywhere"] = ranking(maps["auc_wrong"][0], wished, labelled, np.ones_like(near))
        rows += [{**who, "metric": metric, "value": value} for metric, value in values.items()]
    bins = []
    for number, name in names.items():
        if not np.any(true == number):
            continue
        near = near_truth(true == number, spacing)
        for metric, structure, probability in (("ece", name, after[name]), ("ece_before", name + BEFORE, before[name])):
            part = reliability_bins(probability, true == number, near)
            rows.append({**network, "structure": name, "metric": metric, "value": expected_error(part)})
            if metric == "ece" or name == main_tissue(segmenter.card.classes):
                bins += part.assign(structure=structure).to_dict("records")
    return CaseScores(case.name, rows, pd.DataFrame(bins, columns=list(BINS)).astype(BINS), seconds)


def write_evaluation(
    study: Study,
    settings: Settings,
    card: ModelCard,
    scored: Sequence[CaseScores],
    runs: pd.DataFrame,
    methods: Mapping[str, Mapping],
) -> tuple[pd.DataFrame, dict]:
    """Write per_subject.csv, calibration.csv and metrics.json to `results/evaluation`.

    Runs and methods are those of `read_runs`; a method without labels gets an entry that says why. The long table of
    scores and its summary are returned.
    """
    note_costs(study.costs, "evaluate", [("SegSRGAN", case.name, case.seconds) for case in scored])
    scores = score_table([{"cohort": settings.cohort, **row} for case in scored for row in case.rows])
    summary = with_methods(summarise(scores, seed=settings.seed), methods, reasons(runs), card.classes)
    summary["differences"] = found_differences(volume_shares(scores, main_tissue(card.classes)))
    folder = study.results / "evaluation"
    write_csv(folder / "per_subject.csv", scores)
    write_csv(folder / "calibration.csv", pooled(pd.concat([case.bins for case in scored])))
    write_json(folder / "metrics.json", summary)
    return scores, summary
