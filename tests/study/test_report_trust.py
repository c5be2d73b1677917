"""The report's tables of calibration, ablations, echo times and harmonisation."""

import numpy as np
import pandas as pd
import pytest

from segsrgan_study.report.trust import trust_findings, trust_tables
from segsrgan_study.statistics import analyse
from segsrgan_study.steps.collect import summarised
from tests.study.steps.test_collect import PLAN, scores_of

EVALUATION = {
    "ece": {"cortex": {"segsrgan": {"mean": 0.0432, "sd": 0.01, "n": 4}}},
    "standard_errors": {"cases": 4, "structures": {"cortex": {"n": 4, "share": 0.75, "z": 1.25, "relative_se": 0.05}}},
}


@pytest.fixture(scope="module")
def variability():
    rng, rows = np.random.default_rng(0), []
    for patient in range(6):
        true = 100 * np.exp(rng.normal(0, 0.1))
        for te, factor in {120: 1.0, 280: 1.1}.items():
            ml = true * factor * np.exp(rng.normal(0, 0.005))
            row = {"subject": f"p{patient}", "te_ms": te, "age_weeks": 36.0 + patient, "cortex_ml": ml, "icv_ml": 400.0}
            rows.append(row | {"cortex_over_icv": ml / 400, "cortex_dice": 0.8, "psnr": 25.0, "psnr_spline": 23.0})
    return analyse(pd.DataFrame(rows))


def test_calibration_stands_in_one_row_a_structure():
    (table,) = trust_tables(EVALUATION, {})
    assert table.rows == [["cortex", "4", "0.043 (0.010)", "5.0", "1.25", "0.75"]]
    assert "learnt from 4 cases" in table.caption


def test_ablations_stand_in_one_row_a_level():
    scores = pd.concat([scores_of(run, seed, 3 + seed / 10, 0.8, 1.0) for run in PLAN.runs for seed in PLAN.seeds])
    (table,) = trust_tables({}, summarised(scores, PLAN, 3.0))
    assert table.rows[1] == ["contrast", "physics", "3.20 (0.10)", "0.800 (0.000)", "1.41 (0.00)", "25.0 (0.0)"]
    assert "3 seeds" in table.caption


def test_findings_say_what_was_made_up_and_what_harmonisation_gives(variability):
    (sentence,) = trust_findings(variability)
    assert "n = 6" in sentence
    assert "were not acquired" in trust_findings({"resynthesised": True})[0]
    assert trust_findings({}) == []


def test_without_results_there_is_no_table():
    assert trust_tables({}, {}) == []
