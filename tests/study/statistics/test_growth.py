import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from segsrgan_core.errors import UserError
from segsrgan_study.statistics.growth import AGES_WEEKS, PUBLISHED, find_reference, fit_curve, left_out_z


def cohort(n=40, sd=0.1, seed=0):
    rng = np.random.default_rng(seed)
    ages = rng.uniform(28, 44, n)
    return ages, 80 * np.exp(0.08 * (ages - 40) - 0.002 * (ages - 40) ** 2 + sd * rng.standard_normal(n))


@pytest.mark.parametrize("n", [12, 40])
def test_the_fit_is_that_of_statsmodels(n):
    ages, volumes = cohort(n)
    curve, table = fit_curve(ages, volumes), pd.DataFrame({"age": ages, "y": np.log(volumes)})
    fit = smf.ols("y ~ age + I(age**2)" if n >= 20 else "y ~ age", table).fit()
    at = np.array([ages.min(), 36.0, ages.max()])
    there = fit.get_prediction(pd.DataFrame({"age": at})).summary_frame(alpha=0.05)
    expected = np.exp(there[["obs_ci_lower", "mean", "obs_ci_upper"]].to_numpy().T)
    np.testing.assert_allclose(curve.expected(at), expected, rtol=1e-6)
    np.testing.assert_allclose(curve.z(at, expected), np.array([[-1], [0], [1]]) * [[1.959964] * 3], atol=1e-5)
    assert np.isnan(curve.expected(ages.max() + 1)).all()


def test_the_z_of_subjects_that_were_left_out_is_standard_normal():
    z = left_out_z(*cohort(400, seed=1))
    z = z[np.isfinite(z)]
    assert len(z) >= 398  # the youngest and the oldest lie outside the others
    assert z.mean() == pytest.approx(0, abs=0.15)
    assert z.std() == pytest.approx(1, abs=0.1)
    ages, volumes = cohort()
    volumes[5] *= 2
    assert np.nanargmax(left_out_z(ages, volumes)) == 5


@pytest.mark.parametrize("stage", PUBLISHED)
def test_the_published_curves_grow_and_spread(stage):
    ages = np.linspace(*AGES_WEEKS[stage], 50)
    for name, curve in find_reference(stage).curves.items():
        low, middle, high = curve.expected(ages)
        assert (np.diff(middle[ages > 21.5]) > 0).all(), name
        assert (middle > 0).all(), name
        assert ((low < middle) & (middle < high)).all() if name == "intracranial" else np.isnan([low, high]).all()
        assert np.isnan(curve.z(AGES_WEEKS[stage][1] + 0.1, 100.0))


def test_the_published_volumes_of_term_age():
    # Romberg et al. 2022 (Arch Dis Child Fetal Neonatal Ed 107: 520), very preterm infants at 37 to 42 weeks, pooled:
    # cortical grey matter 140 mL (SD 47), brain 379 mL (SD 72), white matter 195 mL (SD 38).
    curves = find_reference("newborn").curves
    for name, (ml, sd) in {"cortex": (140, 47), "intracranial": (379, 72), "white": (195, 38)}.items():
        assert abs(curves[name].expected(40.0)[1] - ml) < 1.5 * sd, name


def reference_table(tmp_path, who="participant_id", **changes):
    ages, volumes = cohort(12)
    rows = {who: [f"sub-{i}" for i in range(12)], "age_weeks": ages, "tissue": "cortex", "side": "left"}
    path = tmp_path / "volumes.tsv"
    pd.DataFrame({**rows, "volume_ml": volumes, "weights_sha256": "abc"} | changes).to_csv(path, sep="\t", index=False)
    return str(path)


def test_a_table_of_controls_is_a_reference_one_row_a_subject(tmp_path):
    reference = find_reference(reference_table(tmp_path))
    assert (list(reference.curves), reference.weights) == (["left_cortex"], {"abc"})
    found, fitted = (curve.expected(36.0) for curve in (reference.curves["left_cortex"], fit_curve(*cohort(12))))
    np.testing.assert_allclose(found, fitted, rtol=1e-6)
    assert find_reference(reference_table(tmp_path, weights_sha256="")).weights == frozenset()  # unknown
    assert "12 subjects" in find_reference(reference_table(tmp_path, participant_id=["01", "1", *"abcdefghij"])).source


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"volume_ml": "x"}, "numbers"),
        ({"participant_id": "sub-1"}, "6 subjects"),
        ({"who": "Subject", "Subject": "sub-1"}, "6 subjects"),
        ({"tissue": "Cortex"}, "'Cortex' is none of csf, cortex"),
        ({"age_weeks": np.nan}, "no row gives the age"),
        ({"volume_ml": 0}, "above 0"),
        ({"age_weeks": 280}, "between 15 and 100 weeks"),
        ({"verdict": "do not use"}, "no row"),
        ({"side": "L"}, "'l' is none of both, left, right"),
        ({"volume_ml": 15_000.0}, "in mL"),
    ],
)
def test_a_table_that_is_no_reference_is_one_sentence(tmp_path, changes, says):
    with pytest.raises(UserError, match=says):
        find_reference(reference_table(tmp_path, **changes))
    with pytest.raises(UserError, match=r"newborn, fetus, or a table"):
        find_reference("newborns")
