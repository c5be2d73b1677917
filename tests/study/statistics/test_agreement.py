import numpy as np
import pandas as pd
import pytest
from scipy import stats

from segsrgan_study.statistics import agreement
from segsrgan_study.statistics.agreement import bland_altman, icc, paired_mean, pitman_morgan, sphericity

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


def test_within_patient_cv_by_hand():
    table = pd.DataFrame({120: [1.0, 10.0], 200: [3.0, 10.0]})  # CV sqrt(2) / 2 and 0
    cv = agreement.within_patient_cv(table)
    assert cv["rms"] == pytest.approx(0.5)
    assert cv["mean"] == pytest.approx(np.sqrt(2) / 4)


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


def test_pitman_morgan_interval_and_test_agree():
    rng, agree = np.random.default_rng(0), []
    for _ in range(200):
        x = rng.normal(size=15)
        test = pitman_morgan(x, 0.7 * x + rng.normal(0, 0.5, 15))
        low, high = test["variance_ratio_ci95"]
        agree.append((test["p"] < 0.05) == (not low < 1 < high))
    assert all(agree)


def test_epsilon_and_mauchly_by_other_formulas():
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.normal(size=(9, 1)) + rng.normal(size=(9, 4)))
    table[3] += np.linspace(-8, 8, 9) ** 2  # one column that varies by itself
    found, s, k = sphericity(table), np.cov(table.to_numpy(), rowvar=False), 4
    # Geisser and Greenhouse (1958), from the covariance of the columns themselves.
    top = k**2 * (np.trace(s) / k - s.mean()) ** 2
    bottom = (k - 1) * (np.sum(s**2) - 2 * k * np.sum(s.mean(axis=1) ** 2) + k**2 * s.mean() ** 2)
    assert found["epsilon"] == pytest.approx(top / bottom)
    # Mauchly's W with another orthonormal basis: differences to the mean, projected on polynomials.
    basis, _ = np.linalg.qr(np.vander(np.arange(k), k, increasing=True))
    c = basis[:, 1:].T @ s @ basis[:, 1:]
    assert found["mauchly_differences"]["w"] == pytest.approx(np.linalg.det(c) / (np.trace(c) / 3) ** 3)
    assert found["mauchly_differences"]["p"] < 0.001
    assert sphericity(table[[0, 1]]) == {"epsilon": pytest.approx(1)}


def test_shapiro_of_nothing_says_why():
    assert all("reason" in agreement.shapiro(values) for values in (np.ones(5), np.array([1.0, 2.0])))
