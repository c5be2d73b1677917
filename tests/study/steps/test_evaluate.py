"""Evaluation of a network on a test case, against a truth that is known."""

import json

import pandas as pd
import pytest

from segsrgan_core.segmenter import Segmenter
from segsrgan_study.steps.data.cases import prepared_cases
from segsrgan_study.steps.labels.labelled import NO_RUNS
from segsrgan_study.steps.scores.evaluate import evaluate_case, write_evaluation
from tests.core.test_segmenter import identity
from tests.settings import model_card


@pytest.mark.parametrize("classes", [("cortex",), ("white",), ("hippocampi_amygdala",)], ids=lambda names: names[0])
def test_any_class_is_evaluated(prepared, classes):
    study, settings, _ = prepared
    card = model_card(thickness_mm=(2.0, 2.0), cohort="balls", classes=classes)
    scored = [evaluate_case(study, case, Segmenter(card, identity, step=16)) for case in prepared_cases(study, "test")]
    scores, summary = write_evaluation(study, settings, card, scored, *NO_RUNS)
    known = classes[0] != "hippocampi_amygdala"  # the balls have none
    assert not known or 0 <= summary["dice"][classes[0]]["segsrgan"]["mean"] <= 1
    assert {"psnr", "ssim"} <= set(scores["metric"])
    folder = study.results / "evaluation"
    assert json.loads((folder / "metrics.json").read_text())["psnr"]["spline"]["n"] == 1
    assert len(pd.read_csv(folder / "calibration.csv")) == (20 if known else 0)  # before and after calibration
