import numpy as np
import pandas as pd
import pytest
import yaml

from segsrgan_core.errors import UserError
from segsrgan_study.ablations.collect import ablation_table, summarised
from segsrgan_study.params import Plan, merged, read_plan
from tests.settings import PARAMS, ROOT

COMMITTED = ROOT / "ablations" / "ablations.yaml"
FACTORS = {"contrast": {"none": "none", "physics": "reference"}}
RUNS = {"common": {}, "runs": {"reference": {}, "none": {}}, "factors": FACTORS}
PLAN = Plan(seeds=[1, 2, 3], test_cases=2, patients=2, thickness_mm=[2.0, 3.0], **RUNS)


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
    curve = metrics["curves"]["reference"]
    assert list(curve) == ["2", "3"]
    assert curve["2"]["psnr"]["mean"] == pytest.approx(24.2)
    assert curve["2"]["psnr_spline"]["mean"] == pytest.approx(20)
    assert curve["2"]["dice"]["mean"] == pytest.approx(0.81)


def test_what_was_not_run_and_scores_that_are_not_there_are_left_out(metrics):
    assert metrics["not_run"] == []
    scores = pd.concat([scores_of("none", seed, 3, 0.8, 1) for seed in PLAN.seeds])
    partly = summarised(scores, PLAN, 3.0)
    assert partly["not_run"] == ["reference"]
    assert list(partly["factors"]["contrast"]) == ["none"]
    assert len(ablation_table(partly)) == 1
    scores = pd.concat([scores_of(run, seed, 3, 0.8, 1) for run in PLAN.runs for seed in PLAN.seeds])
    metrics = summarised(scores[scores["part"] == "thickness"], PLAN, 3.0)
    assert metrics["factors"]["contrast"]["none"]["te_cv"] is None
    assert ablation_table(metrics)["te_cv_mean"].isna().all()


@pytest.mark.parametrize("run", read_plan(COMMITTED).runs)
def test_every_run_has_valid_settings_and_changes_what_it_says(run):
    plan = read_plan(COMMITTED)
    settings = plan.settings(run, 7, PARAMS).model_dump(mode="json")
    assert settings["seed"] == 7
    for section, changes in merged(plan.common, plan.runs[run]).items():
        assert {name: settings[section][name] for name in changes} == changes


@pytest.mark.parametrize(
    ("changes", "run", "says"),
    [
        ({"runs": {"a": {"model": {"generater": "unet"}}}, "factors": {}}, "a", r"model\.generater: unknown key \(did"),
        ({}, "refrence", "'refrence' is not one of reference, "),
        ({"factors": {"generator": {"another": "other"}}}, "reference", "factors name other"),
        ({"seed": 3}, "reference", "seed: unknown key"),
    ],
)
def test_a_fault_of_the_plan_is_named(tmp_path, changes, run, says):
    path = tmp_path / "ablations.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(COMMITTED.read_text()) | changes, sort_keys=False))
    with pytest.raises(UserError, match=says):
        read_plan(path).settings(run, 1, PARAMS)
