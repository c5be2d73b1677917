"""The table of the ablations, from scores that are known."""

import numpy as np
import pandas as pd
import pytest

from segsrgan_study.ablations import Plan, ablation_table, summarised

PLAN = Plan(
    seeds=[1, 2, 3],
    test_cases=2,
    patients=2,
    thickness_mm=[2.0, 3.0],
    common={},
    runs={"reference": {}, "none": {}},
    factors={"contrast": {"none": "none", "physics": "reference"}},
)


def scores_of(run, seed, gain, dice, spread):
    """Scores of a run whose gain falls by a dB a mm, and whose cortical volume of 100 ml moves by `spread` over TE."""
    rows = []
    for subject in ("a", "b"):
        for mm in (2.0, 3.0):
            values = {"psnr": 20 + gain + 3 - mm, "psnr_spline": 20.0, "dice": dice + (3 - mm) / 100}
            rows += [(run, seed, "thickness", mm, subject, name, value) for name, value in values.items()]
        for te, sign in ((120, -1), (280, 1)):
            values = {"cortex_ml": 100 + sign * spread, "cortex_true_ml": 80.0, "cortex_dice": 0.7}
            rows += [(run, seed, "echoes", te, subject, name, value) for name, value in values.items()]
    return pd.DataFrame(rows, columns=["run", "seed", "part", "condition", "subject", "metric", "value"])


@pytest.fixture(scope="module")
def metrics():
    parts = [scores_of("reference", seed, 3 + seed / 10, 0.8, 1.0) for seed in PLAN.seeds]
    parts += [scores_of("none", seed, 2.0, 0.7 + seed / 100, 5.0) for seed in PLAN.seeds]
    return summarised(pd.concat(parts), PLAN, 3.0)


def test_scores_are_means_over_subjects_then_over_seeds(metrics):
    physics, none = (metrics["factors"]["contrast"][level] for level in ("physics", "none"))
    assert physics["run"] == "reference"
    expected = {"mean": pytest.approx(3.2), "sd": pytest.approx(0.1), "values": pytest.approx([3.1, 3.2, 3.3])}
    assert physics["psnr_gain"] == expected
    assert (none["dice"]["mean"], none["dice"]["sd"]) == (pytest.approx(0.72), pytest.approx(0.01))
    assert none["te_bias"]["mean"] == pytest.approx(0.25)
    assert (none["te_cv"]["mean"], physics["te_cv"]["mean"]) == pytest.approx((np.sqrt(2) * 0.05, np.sqrt(2) * 0.01))
    table = ablation_table(metrics).set_index("level")
    assert table["run"].to_dict() == {"none": "none", "physics": "reference"}
    assert table["te_cv_mean"]["none"] == pytest.approx(np.sqrt(2) * 0.05)


def test_curves_over_thickness(metrics):
    curve = metrics["curves"]["reference"]
    assert list(curve) == ["2", "3"]
    assert curve["2"]["psnr"]["mean"] == pytest.approx(24.2)
    assert curve["2"]["psnr_spline"]["mean"] == pytest.approx(20)
    assert curve["2"]["dice"]["mean"] == pytest.approx(0.81)


def test_what_was_not_run_is_named_and_left_out(metrics):
    assert metrics["not_run"] == []
    scores = pd.concat([scores_of("none", seed, 3, 0.8, 1) for seed in PLAN.seeds])
    partly = summarised(scores, PLAN, 3.0)
    assert partly["not_run"] == ["reference"]
    assert list(partly["factors"]["contrast"]) == ["none"]
    assert len(ablation_table(partly)) == 1


def test_a_cohort_without_echo_times_leaves_their_scores_out():
    scores = pd.concat([scores_of(run, seed, 3, 0.8, 1) for run in PLAN.runs for seed in PLAN.seeds])
    metrics = summarised(scores[scores["part"] == "thickness"], PLAN, 3.0)
    assert metrics["factors"]["contrast"]["none"]["te_cv"] is None
    assert ablation_table(metrics)["te_cv_mean"].isna().all()
