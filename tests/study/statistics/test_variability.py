import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from segsrgan_core.atomic import write_json
from segsrgan_core.errors import UserError
from segsrgan_study.statistics import analyse, spread, talk_table, wide
from segsrgan_study.statistics.agreement import bland_altman, icc, pitman_morgan, shapiro, within_patient_cv
from segsrgan_study.statistics.anova import repeated_measures
from segsrgan_study.statistics.harmonise import harmonisation, harmonised
from segsrgan_study.statistics.mixed_model import mixed_model, residuals
from segsrgan_study.statistics.spread import bootstrap, sd_over_mean

EFFECTS_ML = {120: 0.0, 200: -3.0, 280: -8.0, 360: -15.0}
# Shrout and Fleiss (1979), table 2: six targets, four judges.
SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def patients(n: int = 43, effects: dict[int, float] = EFFECTS_ML, noise_ml: float = 1.5) -> pd.DataFrame:
    """Patients whose cortex is 32 % of a head size that varies with age, with known effects of TE."""
    rng, rows = np.random.default_rng(1), []
    for patient in range(n):
        age = rng.uniform(36, 44)
        icv = 420 * np.exp(0.03 * (age - 40) + rng.normal(0, 0.08))
        cortex = 0.32 * icv * np.exp(rng.normal(0, 0.03))
        for te, effect in effects.items():
            volume = cortex + effect + noise_ml * rng.normal()
            row = {"subject": f"sub-{patient:02d}", "te_ms": te, "age_weeks": age, "cortex_ml": volume, "icv_ml": icv}
            rows.append(row | {"cortex_over_icv": volume / icv, "cortex_true_ml": cortex, "icv_true_ml": icv})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def result() -> dict:
    return analyse(patients())


def test_spread_by_hand():
    volumes = patients(4, {120: 0.0})
    volumes["cortex_ml"] = [2.0, 4.0, 4.0, 6.0]  # mean 4, sd sqrt(8 / 3); quartiles 3.5 and 4.5, median 4
    values = spread(volumes)
    assert values["sd_over_mean"]["cortex"]["120"] == pytest.approx(np.sqrt(8 / 3) / 4)
    assert values["iqr_over_median"]["cortex"]["120"] == pytest.approx(0.25)
    assert values["n"] == {"120": 4}


def test_talk_table_has_the_talks_form():
    table = talk_table(patients())
    assert list(table.columns) == ["statistic", "measure", "120", "200", "280", "360"]
    assert list(table["statistic"]) == ["sd / mean"] * 2 + ["IQR / median"] * 2
    assert list(table["measure"]) == ["cortex volume", "cortex / ICV"] * 2
    ratio, volume = table.loc[1, "120"], table.loc[0, "120"]
    assert ratio < volume


def test_mixed_model_finds_the_effects(result):
    model = result["mixed_model"]["cortex"]
    assert model["converged"]
    assert model["formula"] == "cortex_ml ~ C(te_ms) + age_weeks + (1 | subject)"
    for te in (200, 280, 360):
        low, high = model["effects"][f"te_{te}"]["ci95"]
        assert low < EFFECTS_ML[te] < high
        assert high - low < 1.5
    low, high = model["contrasts"]["360-280"]["ci95"]
    assert low < -7 < high
    assert model["lrt"]["df"] == 3
    assert model["lrt"]["p"] < 1e-20
    assert model["sd_within"] == pytest.approx(1.5, abs=0.2)
    assert model["contrasts"]["200-120"]["p_holm"] >= model["contrasts"]["200-120"]["p"]
    assert set(model["assumptions"]) == {"shapiro_residuals", "shapiro_intercepts", "levene_residuals_by_te"}


def test_contrasts_of_balanced_data_are_the_paired_means(result):
    for pair in ("200-120", "280-120", "360-120"):
        expected = result["difference_to_reference_te"]["cortex"][pair]["mean"]
        assert result["mixed_model"]["cortex"]["contrasts"][pair]["value"] == pytest.approx(expected, abs=1e-6)


def test_no_effect_is_not_found():
    model = mixed_model(patients(20, dict.fromkeys(EFFECTS_ML, 0.0)), "cortex_ml")
    assert model["lrt"]["p"] > 0.05


def by_a_factor(n: int = 20, noise: float = 0.01) -> pd.DataFrame:
    """Patients whose volume at 280 ms is a tenth above that at 120 ms, and noise of a known share."""
    volumes = patients(n, dict.fromkeys((120, 280), 0.0), noise_ml=0)
    rng = np.random.default_rng(3)
    factor = np.where(volumes["te_ms"] == 280, 1.1, 1.0) * np.exp(noise * rng.normal(size=len(volumes)))
    return volumes.assign(cortex_ml=volumes["cortex_ml"] * factor)


def test_harmonised_volumes_without_noise_are_those_of_the_reference():
    rows = harmonised(by_a_factor(5, noise=1e-6), "cortex_ml", 120)
    reference = rows[rows["te_ms"] == 120].set_index("subject")["measured"]
    np.testing.assert_allclose(rows["harmonised"], rows["subject"].map(reference), rtol=1e-4)
    assert (rows.loc[rows["te_ms"] == 120, "se"] == 0).all()


def test_harmonisation_uses_no_volume_of_the_patient_that_it_corrects():
    volumes = by_a_factor(6)
    changed = volumes.copy()
    changed.loc[(changed["subject"] == "sub-00") & (changed["te_ms"] == 280), "cortex_ml"] *= 2
    before, after = (harmonised(frame, "cortex_ml", 120) for frame in (volumes, changed))
    factor = [(f["measured"] / f["harmonised"])[f["te_ms"] == 280].iloc[0] for f in (before, after)]
    assert factor[0] == pytest.approx(factor[1])


def test_harmonisation_removes_a_factor_and_knows_its_error():
    volumes = by_a_factor()
    result = harmonisation(volumes, "cortex_ml", 120)
    factor = result["factors"]["280"]
    assert factor["ci95"][0] < 1.1 < factor["ci95"][1]
    logs = np.log(wide(volumes, "cortex_ml"))
    expected = (logs[280] - logs[120]).std() * np.sqrt(1 + 1 / 20)  # of one more difference, from 20
    assert factor["relative_se_of_a_volume"] == pytest.approx(expected, rel=1e-3)
    cv = result["within_patient_cv"]
    assert cv["before"]["rms"] > 0.06
    assert cv["after"]["rms"] < 0.02
    low, high = result["cv_ratio_ci95"]
    assert low < result["cv_ratio"] < high
    assert result["cv_ratio"] == pytest.approx(cv["after"]["rms"] / cv["before"]["rms"])
    assert result["cover"] == {"n": 20, "share": pytest.approx(0.95, abs=0.1)}


def test_harmonisation_says_what_it_lacks():
    assert "needs 4 patients" in harmonisation(by_a_factor(3), "cortex_ml", 120)["reason"]
    assert "positive" in harmonisation(by_a_factor(5).assign(cortex_ml=0.0), "cortex_ml", 120)["reason"]


def test_age_is_left_out_where_it_is_not_known():
    assert "age" not in mixed_model(patients(6).assign(age_weeks=np.nan), "cortex_ml")["formula"]
    assert "age" not in mixed_model(patients(6).drop(columns="age_weeks"), "cortex_ml")["formula"]


def test_mixed_model_of_balanced_data_by_hand():
    """Balanced and without age, REML has closed forms: the two mean squares of the analysis of variance."""
    volumes = patients(12).drop(columns="age_weeks")
    model, table = mixed_model(volumes, "cortex_ml"), wide(volumes, "cortex_ml").to_numpy()
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    within = np.sum(rest**2) / (11 * 3)
    between = (4 * np.var(table.mean(axis=1), ddof=1) - within) / 4
    assert model["sd_within"] == pytest.approx(np.sqrt(within), rel=1e-3)
    assert model["sd_between"] == pytest.approx(np.sqrt(between), rel=1e-3)
    low, high = model["contrasts"]["280-200"]["ci95"]
    assert high - low == pytest.approx(2 * 1.959964 * np.sqrt(2 * within / 12), rel=1e-3)


def test_likelihood_ratio_of_balanced_data_by_hand():
    """The ML variances have closed forms too, so that the likelihoods need no optimiser."""
    volumes = patients(12).drop(columns="age_weeks")
    table = wide(volumes, "cortex_ml").to_numpy()
    n, k = table.shape

    def log_likelihood(means):
        patient = (table - means).mean(axis=1)
        within = np.sum((table - means - patient[:, None]) ** 2) / (n * (k - 1))
        both = k * np.mean(patient**2)  # within + k between
        return -0.5 * n * (k * np.log(2 * np.pi) + (k - 1) * np.log(within) + np.log(both) + k)

    expected = 2 * (log_likelihood(table.mean(axis=0)) - log_likelihood(table.mean()))
    lrt = mixed_model(volumes, "cortex_ml")["lrt"]
    assert lrt["chi2"] == pytest.approx(expected, rel=1e-4)
    assert lrt["p"] == pytest.approx(stats.chi2.sf(expected, 3), rel=1e-2)


def test_what_a_failed_optimiser_said_is_not_told_once_another_converged(recwarn):
    volumes = patients(8)
    volumes["cortex_ml"] = np.random.default_rng(0).normal(100, 5, len(volumes))  # no variance between patients
    model = mixed_model(volumes, "cortex_ml")
    assert model["converged"]
    assert not any("Retrying" in text or "failed" in text for text in model["warnings"])


def test_residuals_are_what_the_model_leaves():
    frame = residuals(patients(8), "cortex_ml")
    measured = patients(8).sort_values(["subject", "te_ms"])["cortex_ml"]
    np.testing.assert_allclose(frame["fitted"] + frame["residual"], measured)
    assert frame.groupby("te_ms")["residual"].mean().abs().max() < 0.2
    assert frame.groupby("subject")["intercept"].nunique().eq(1).all()
    assert len(residuals(patients(2), "cortex_ml")) == 0


def test_repeated_measures_is_that_of_statsmodels():
    from statsmodels.stats.anova import AnovaRM

    volumes = patients(9)
    test = repeated_measures(wide(volumes, "cortex_ml"))
    other = AnovaRM(volumes, "cortex_ml", "subject", within=["te_ms"]).fit().anova_table.iloc[0]
    assert (test["f"], test["p"]) == pytest.approx((other["F Value"], other["Pr > F"]))
    assert test["df"] == [other["Num DF"], other["Den DF"]]


def test_epsilon_and_sphericity_by_other_formulas():
    table = wide(patients(9), "cortex_ml")
    table[360] += np.linspace(-8, 8, 9) ** 2  # one TE that varies by itself
    test, s, k = repeated_measures(table), np.cov(table.to_numpy(), rowvar=False), 4
    # Geisser and Greenhouse (1958), from the covariance of the columns themselves.
    top = k**2 * (np.trace(s) / k - s.mean()) ** 2
    bottom = (k - 1) * (np.sum(s**2) - 2 * k * np.sum(s.mean(axis=1) ** 2) + k**2 * s.mean() ** 2)
    assert test["epsilon"] == pytest.approx(top / bottom)
    # Mauchly's W with another orthonormal basis: differences to the mean, projected on polynomials.
    basis, _ = np.linalg.qr(np.vander(np.arange(k), k, increasing=True))
    c = basis[:, 1:].T @ s @ basis[:, 1:]
    mauchly = test["assumption"]["mauchly_differences"]
    assert mauchly["w"] == pytest.approx(np.linalg.det(c) / (np.trace(c) / 3) ** 3)
    assert mauchly["p"] < 0.001
    assert test["p_corrected"] > test["p"]


def test_sphericity_is_not_doubted_where_it_holds():
    rng = np.random.default_rng(3)
    tables = [pd.DataFrame(rng.normal(size=(20, 1)) + rng.normal(size=(20, 4))) for _ in range(200)]
    ps = [repeated_measures(table)["assumption"]["mauchly_differences"]["p"] for table in tables]
    assert 0.01 < np.mean(np.array(ps) < 0.05) < 0.10


def test_two_columns_make_the_paired_t_test():
    table = wide(patients(7), "cortex_ml")[[120, 360]]
    test, t = repeated_measures(table), stats.ttest_rel(table[120], table[360])
    assert (test["f"], test["p"], test["epsilon"]) == pytest.approx((t.statistic**2, t.pvalue, 1))
    assert "assumption" not in test


def test_bootstrap_holds_the_true_spread():
    """Of 60 samples of 43 normal values, at least 52 intervals hold the true sd / mean (95 % promised)."""
    rng, held = np.random.default_rng(5), 0
    for _ in range(60):
        low, high = bootstrap(rng.normal(1, 0.1, 43), sd_over_mean)["ci95"]
        held += low < 0.1 < high
    assert held >= 52


def test_bootstrap_says_what_it_cannot_and_how_biased_it_is():
    assert "reason" in bootstrap(np.ones(9), sd_over_mean)
    assert "reason" in bootstrap(np.array([1.0, 2.0]), sd_over_mean)
    drawn = bootstrap(np.random.default_rng(0).normal(1, 0.1, 6), sd_over_mean, seed=1)
    assert drawn["bias_over_se"] < -0.25  # of six values, draws are much narrower than the sample
    assert drawn == bootstrap(np.random.default_rng(0).normal(1, 0.1, 6), sd_over_mean, seed=1)


def test_icc_of_shrout_and_fleiss():
    agreement = icc(pd.DataFrame(SHROUT_FLEISS))
    assert agreement["icc_2_1"] == pytest.approx(0.29, abs=0.005)
    assert agreement["icc_3_1"] == pytest.approx(0.71, abs=0.005)
    assert agreement["icc_2_1_ci95"] == pytest.approx([0.02, 0.76], abs=0.005)
    assert agreement["icc_3_1_ci95"] == pytest.approx([0.34, 0.95], abs=0.005)
    assert agreement["mean_squares"]["patients"] == pytest.approx(11.24, abs=0.01)
    assert agreement["mean_squares"]["te"] == pytest.approx(32.49, abs=0.01)
    assert agreement["mean_squares"]["residual"] == pytest.approx(1.02, abs=0.01)


def test_bland_altman_by_hand():
    first = pd.Series([10.0, 20.0, 30.0, 40.0])
    limits = bland_altman(first, first + np.array([1, 2, 3, 2]))  # bias 2, sd sqrt(2 / 3)
    assert limits["bias"] == 2
    assert limits["lower"] == pytest.approx(2 - 1.96 * np.sqrt(2 / 3))
    assert limits["upper"] == pytest.approx(2 + 1.96 * np.sqrt(2 / 3))
    assert limits["upper_ci95"][0] < limits["upper"] < limits["upper_ci95"][1]
    assert limits["slope_with_mean"]["r"] == pytest.approx(np.corrcoef([10.5, 21, 31.5, 41], [1, 2, 3, 2])[0, 1])


def test_within_patient_cv_by_hand():
    table = pd.DataFrame({120: [1.0, 10.0], 200: [3.0, 10.0]})  # CV sqrt(2) / 2 and 0
    cv = within_patient_cv(table)
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


def test_pitman_morgan_interval_and_test_agree():
    rng, agree = np.random.default_rng(0), []
    for _ in range(200):
        x = rng.normal(size=15)
        test = pitman_morgan(x, 0.7 * x + rng.normal(0, 0.5, 15))
        low, high = test["variance_ratio_ci95"]
        agree.append((test["p"] < 0.05) == (not low < 1 < high))
    assert all(agree)


def test_division_by_icv_lowers_the_variance(result):
    for test in result["pitman_morgan"].values():
        assert test["variance_ratio"] < 1
        assert test["p_holm"] < 0.001
    cortex, ratio = (result["sd_over_mean"][name]["120"] for name in ("cortex", "cortex_over_icv"))
    assert ratio < cortex


def test_bias_and_spread_of_the_truth(result):
    for te, effect in EFFECTS_ML.items():
        low, high = result["bias"]["cortex"][str(te)]["ci95"]
        assert low < effect < high
    assert result["bias"]["icv"]["120"]["mean"] == pytest.approx(0)
    truth = patients().drop_duplicates("subject")["cortex_true_ml"]
    assert result["truth"]["sd_over_mean"]["cortex"] == pytest.approx(truth.std() / truth.mean())
    unknown = analyse(patients(5).drop(columns=["cortex_true_ml", "icv_true_ml"]))
    assert "no true volume" in unknown["bias"]["cortex"]["reason"]
    assert "no true volume" in unknown["truth"]["reason"]


def test_scores_per_te_are_means_over_patients():
    volumes = patients(4).assign(cortex_dice=lambda frame: frame["te_ms"] / 400, psnr=np.nan)
    scores = analyse(volumes)["scores"]
    assert set(scores) == {"cortex_dice"}
    assert (scores["cortex_dice"]["280"]["mean"], scores["cortex_dice"]["280"]["n"]) == (pytest.approx(0.7), 4)
    assert "no true segmentation" in analyse(patients(4))["scores"]["reason"]


def test_intervals_hold_the_estimates(result):
    for name in ("sd_over_mean", "iqr_over_median"):
        for measure, by_te in result[name].items():
            for te, value in by_te.items():
                low, high = result[f"{name}_ci95"][measure][te]
                assert 0 < low < value < high


def test_shapiro_of_nothing_says_why():
    assert "reason" in shapiro(np.ones(5))
    assert "reason" in shapiro(np.array([1.0, 2.0]))


@pytest.mark.parametrize(
    "volumes",
    [
        patients(1),
        patients(2),
        patients(3),
        patients(5, {120: 0.0}),
        patients(5, {120: 0.0, 200: 0.0}, noise_ml=0),
        patients(5).assign(cortex_ml=3.0, cortex_over_icv=0.1),
        patients(5).assign(cortex_ml=0.0, cortex_over_icv=0.0),
        patients(6).assign(cortex_ml=lambda frame: frame["cortex_ml"].where(frame["te_ms"] != 360)),
        patients(6).iloc[:-5],
    ],
    ids=["one", "two", "three", "one-te", "no-noise", "constant", "zero", "te-lost", "incomplete"],
)
def test_degenerate_data_say_so_and_never_crash(volumes, tmp_path):
    result = analyse(volumes)
    for model in result["mixed_model"].values():
        assert model["converged"] or model["reason"]
    json.loads(write_json(tmp_path / "metrics.json", result).read_text())
    talk_table(volumes)


def test_a_failed_fit_is_reported(monkeypatch):
    def broken(*_, **__):
        raise np.linalg.LinAlgError("Singular matrix")

    monkeypatch.setattr("segsrgan_study.statistics.mixed_model._fit", broken, raising=True)
    model = mixed_model(patients(5), "cortex_ml")
    assert model["converged"] is False
    assert "Singular matrix" in model["reason"]


def test_another_reference_te():
    assert set(analyse(patients(4), reference_te_ms=280)["difference_to_reference_te"]["cortex"]) == {
        "120-280",
        "200-280",
        "360-280",
    }
    assert analyse(patients(4), reference_te_ms=100)["reference_te_ms"] == 120


def test_faulty_tables_are_refused():
    with pytest.raises(UserError, match="Missing: \\['icv_ml'\\]"):
        analyse(patients(3).drop(columns="icv_ml"))
    with pytest.raises(UserError, match="Received twice"):
        analyse(pd.concat([patients(3), patients(3)]))
    with pytest.raises(UserError, match="without te_ms"):
        analyse(patients(3).assign(te_ms=np.nan))


def test_wide_sorts_te():
    assert list(wide(patients(2).iloc[::-1], "cortex_ml").columns) == [120, 200, 280, 360]
