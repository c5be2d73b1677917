"""Scores of a network on test cases, and on images at several echo times: a cohort's own, or re-synthesised ones."""

import json
from functools import partial
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.errors import UserError
from segsrgan_core.segmenter import ModelCard, Segmenter
from segsrgan_study.files import load_image, load_labels
from segsrgan_study.phantoms.physics import PHYSICS
from segsrgan_study.steps.data.cases import prepared_cases
from segsrgan_study.steps.labels.labelled import NO_RUNS
from segsrgan_study.steps.scores import measure, segmented
from segsrgan_study.steps.scores.evaluate import evaluate_case, write_evaluation
from segsrgan_study.steps.scores.imagined import measure_physics
from segsrgan_study.steps.scores.measure import measure_case, measure_one, variability_cases, volume_table
from tests.core.test_segmenter import identity
from tests.settings import model_card, simulation

CARD = model_card(thickness_mm=(2.0, 2.0), cohort="balls")


def test_a_cohort_without_echo_times_gets_its_test_cases_at_four(prepared):
    study, _, _ = prepared
    cases = prepared_cases(study, "variability")
    assert [(case.name, case.te_ms) for case in cases] == [("ballsd", te) for te in (120, 200, 280, 360)]
    assert all(case.resynthesised for case in cases)
    first, last = cases[0], cases[-1]
    assert load_image(first.low).shape == (20, 22, 9)
    labels = np.asarray(load_labels(first.labels).dataobj)
    cortex = [np.median(np.asarray(load_image(case.hr).dataobj)[labels == 2]) for case in (first, last)]
    assert cortex[1] < 0.6 * cortex[0]


def test_an_image_is_measured_on_the_grid_of_its_truth(prepared):
    case = prepared_cases(prepared[0], "variability")[0]
    result, row = measure_one(case, Segmenter(CARD, identity))
    labels = np.asarray(load_labels(case.labels).dataobj)
    assert result.image.shape == labels.shape
    assert row["cortex_true_ml"] == pytest.approx((labels == 2).sum() / 1000)
    assert row["psnr"] == pytest.approx(row["psnr_spline"], abs=0.01)  # this network changes nothing
    assert 0 <= row["cortex_dice"] < 1
    assert "psnr" not in measure_one(case, Segmenter(ModelCard(**{**vars(CARD), "spacing_mm": 2.0}), identity))[1]


def test_every_image_is_measured_and_kept(prepared, monkeypatch):
    study, settings, _ = prepared
    monkeypatch.setattr(measure, "bet_mask", lambda *_: Nifti1Image(np.ones((10, 15, 20), np.uint8), np.eye(4)))  # 3 ml
    monkeypatch.setattr(segmented, "trained_segmenter", lambda *_: Segmenter(CARD, identity))
    here = settings.model_copy(update={"workers": "1"})
    measured = partial(measure_case, bet=settings.variability)
    rows = segmented.with_network(measured, study, here, variability_cases(study), "measured")
    volumes = volume_table([row | {"icv_ml": 1} for row in rows])
    assert volumes["cortex_over_icv_bet"].tolist() == pytest.approx((volumes["cortex_ml"] / 3).tolist())
    assert volumes["te_ms"].tolist() == [120, 200, 280, 360]
    assert volumes["cortex_over_icv"].tolist() == volumes["cortex_ml"].tolist()
    assert {"cortex_dice", "psnr", "psnr_spline"} <= set(volumes)
    files = {path.name for path in (study.work / "measured").iterdir()}
    ends = ("segsrgan_T2w", "segsrgan_dseg", "segsrganuncertainty_probseg")
    assert files == {f"ballsd_acq-te{te}_desc-{end}.nii.gz" for te in (120, 200, 280, 360) for end in ends}


def test_a_patient_is_imaged_by_each_scanner_with_and_without_the_skull(prepared, monkeypatch):
    cases = prepared_cases(prepared[0], "variability")
    network = Mock(return_value=SimpleNamespace(volumes_ml={"cortex": 2.0, "intracranial": 3.0}))
    monkeypatch.setattr(segmented, "trained_segmenter", lambda *_: network)
    settings = SimpleNamespace(seed=1, simulation=simulation(), workers="1")
    table = measure_physics(prepared[0], settings, cases)
    assert len(table) == network.call_count == len(PHYSICS) * 2 * 4
    labels = np.asarray(load_labels(cases[0].labels).dataobj)
    assert table["cortex_true_ml"].unique() == pytest.approx([(labels == 2).sum() / 1000])
    assert table["icv_true_ml"].unique() == pytest.approx([(~np.isin(labels, (0, 4))).sum() / 1000])
    assert set(table["subject"]) == {"ballsd"}
    assert measure_physics(prepared[0], settings, []).empty
    assert measure_physics(prepared[0], settings, [case._replace(labels=None) for case in cases]).empty


def test_a_case_whose_two_intracranial_volumes_are_apart_is_marked():
    row = {"subject": "p", "age_weeks": 40.0, "cortex_ml": 100.0}
    found = zip((120, 200, 280, 360), (400.0, 400.0, 400.0, 0.0), (438.0, 442.0, 355.0, 300.0), strict=True)
    table = volume_table([row | {"te_ms": te, "icv_ml": own, "icv_bet_ml": by_bet} for te, own, by_bet in found])
    assert table["icv_differs"].tolist() == [False, True, True, True]
    assert table["cortex_over_icv"].tolist() == pytest.approx([0.25, 0.25, 0.25, np.nan], nan_ok=True)
    assert table["cortex_over_icv_bet"][3] == pytest.approx(1 / 3)


def test_two_images_at_one_echo_time_are_refused(prepared):
    study, _, _ = prepared
    table = pd.read_csv(study.work / "prepared" / "cases.csv")
    repeated = table[table["split"] == "variability"].head(1).assign(stem="again")
    pd.concat([table, repeated]).to_csv(study.work / "prepared" / "cases.csv", index=False)
    with pytest.raises(UserError, match="ballsd: two images at TE 120 ms"):
        variability_cases(study)


@pytest.mark.parametrize("classes", [("cortex",), ("white",), ("hippocampi_amygdala",)], ids=lambda names: names[0])
def test_any_class_is_evaluated(prepared, classes):
    study, settings, _ = prepared
    card = model_card(thickness_mm=(2.0, 2.0), cohort="balls", classes=classes)
    scored = [evaluate_case(study, case, Segmenter(card, identity)) for case in prepared_cases(study, "test")]
    scores, summary = write_evaluation(study, settings, card, scored, *NO_RUNS)
    known = classes[0] != "hippocampi_amygdala"  # the balls have none
    assert not known or 0 <= summary["dice"][classes[0]]["segsrgan"]["mean"] <= 1
    assert {"psnr", "ssim"} <= set(scores["metric"])
    folder = study.results / "evaluation"
    assert json.loads((folder / "metrics.json").read_text())["psnr"]["spline"]["n"] == 1
    assert len(pd.read_csv(folder / "calibration.csv")) == (20 if known else 0)  # before and after calibration
