"""Volumes over TE: agreement, spread, mixed models and harmonisation; see also `test_notebook_04`."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from segsrgan_study.statistics.agreement import bland_altman, icc, paired_mean, pitman_morgan, shapiro, sphericity
from segsrgan_study.statistics.intervals import bootstrap
from segsrgan_study.statistics.mixed_model import fit_mixed_model, harmonisation, harmonised, te_formula
from segsrgan_study.statistics.spread import sd_over_mean
from tests.study.statistics.patients import by_a_factor, patients

# Shrout and Fleiss (1979), table 2: six targets, four judges.
SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def test_icc_of_shrout_and_fleiss():
    found = icc(pd.DataFrame(SHROUT_FLEISS))
    assert [found["icc_2_1"], *found["icc_2_1_ci95"]] == pytest.approx([0.29, 0.02, 0.76], abs=0.005)
    assert [found["icc_3_1"], *found["icc_3_1_ci95"]] == pytest.approx([0.71, 0.34, 0.95], abs=0.005)
    squares = found["mean_squares"]
    assert [squares["patients"], squares["te"], squares["residual"]] == pytest.approx([11.24, 32.49, 1.02], abs=0.01)


def test_bland_altman_by_hand():
    first = pd.Series([10.0, 20.0, 30.0, 40.0])
    limits = bland_altman(first, first + np.array([1, 2, 3, 2]))  # bias 2, sd sqrt(2 / 3)
    half = 1.96 * np.sqrt(2 / 3)
    assert [limits[name] for name in ("lower", "bias", "upper")] == pytest.approx([2 - half, 2, 2 + half])
    assert limits["upper_ci95"][0] < limits["upper"] < limits["upper_ci95"][1]
    assert limits["slope_with_mean"]["r"] == pytest.approx(np.corrcoef([10.5, 21, 31.5, 41], [1, 2, 3, 2])[0, 1])


def test_paired_mean_is_that_of_the_t_test():
    reference, values = pd.Series([10.0, 20.0, 30.0, 40.0, 1.0]), pd.Series([11.0, 22.0, 33.0, 42.0, np.nan])
    found = paired_mean(reference, values)
    t = stats.ttest_rel(values[:4], reference[:4]).confidence_interval()
    assert (found["n"], found["mean"], found["relative"]) == (4, 2, pytest.approx(2 / 25))
    assert found["ci95"] == pytest.approx([t.low, t.high])


def test_pitman_morgan_on_a_known_correlation():
    # Equal variances exactly: sum and difference are uncorrelated, the ratio is 1 and the interval symmetric in logs.
    x = np.array([1.0, 2, 3, 4, 5, 6])
    y = np.array([2.0, 1, 4, 3, 6, 5])
    equal = pitman_morgan(x, y)
    assert equal["r"] == pytest.approx(0, abs=1e-12)
    assert equal["variance_ratio"] == pytest.approx(1)
    assert np.prod(equal["variance_ratio_ci95"]) == pytest.approx(1)
    halved = pitman_morgan(x, y / 2)
    assert halved["variance_ratio"] == pytest.approx(0.25)
    r = stats.pearsonr(x + y / 2, x - y / 2)
    assert (halved["r"], halved["p"]) == pytest.approx((r.statistic, r.pvalue))
    assert "not positive" in pitman_morgan(x, np.append(y[:5], -np.inf))["reason"]


def test_two_echo_times_are_spherical():
    assert sphericity(pd.DataFrame(SHROUT_FLEISS)[[0, 1]]) == {"epsilon": pytest.approx(1)}


def test_values_that_are_alike_or_few_say_so():
    for values in (np.ones(5), np.array([1.0, 2.0])):
        assert "reason" in shapiro(values)
        assert bootstrap(values, sd_over_mean, method="BCa") == (None, None)
    sample = np.random.default_rng(0).normal(1, 0.1, 6)
    drawn = bootstrap(sample, sd_over_mean, 1, "BCa")
    assert drawn[1] < -0.25  # of six values, draws are much narrower than the sample
    assert drawn == bootstrap(sample, sd_over_mean, 1, "BCa")


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
