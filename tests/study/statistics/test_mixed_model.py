import numpy as np
import pytest

from segsrgan_study.statistics.harmonise import harmonisation, harmonised
from segsrgan_study.statistics.mixed_model import fit_mixed_model, te_formula
from tests.study.statistics.patients import by_a_factor, patients


def test_age_is_left_out_where_it_is_not_known():
    assert te_formula(patients(3), "cortex_ml") == "cortex_ml ~ C(te_ms) + age_weeks"
    assert te_formula(patients(3).assign(age_weeks=np.nan), "cortex_ml") == "cortex_ml ~ C(te_ms)"
    assert te_formula(patients(3).drop(columns="age_weeks"), "cortex_ml") == "cortex_ml ~ C(te_ms)"


def test_what_a_failed_optimiser_said_is_not_told_once_another_converged():
    volumes = patients(8)
    volumes["cortex_ml"] = np.random.default_rng(0).normal(100, 5, len(volumes))  # no variance between patients
    fit = fit_mixed_model("cortex_ml ~ C(te_ms)", volumes)
    assert fit.converged
    assert not any("Retrying" in text or "failed" in text for text in fit.said)


def test_harmonisation_uses_no_volume_of_the_patient_that_it_corrects():
    volumes = by_a_factor(6)
    changed = volumes.copy()
    changed.loc[(changed["subject"] == "sub-00") & (changed["te_ms"] == 280), "cortex_ml"] *= 2
    before, after = (harmonised(frame, "cortex_ml", 120) for frame in (volumes, changed))
    factor = [(f["measured"] / f["harmonised"])[f["te_ms"] == 280].iloc[0] for f in (before, after)]
    assert factor[0] == pytest.approx(factor[1])


def test_harmonisation_says_what_it_lacks():
    assert "needs 4 patients" in harmonisation(by_a_factor(3), "cortex_ml", 120)["reason"]
    assert "positive" in harmonisation(by_a_factor(5).assign(cortex_ml=0.0), "cortex_ml", 120)["reason"]
    assert "reference TE of 200 ms" in harmonisation(by_a_factor(5), "cortex_ml", 200)["reason"]
