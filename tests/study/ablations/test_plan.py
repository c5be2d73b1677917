import pytest
import yaml

from segsrgan_core.errors import UserError
from segsrgan_study.ablations import read_plan
from segsrgan_study.params import merged
from tests.settings import PARAMS, ROOT

PLAN = ROOT / "ablations" / "ablations.yaml"


@pytest.mark.parametrize("run", read_plan(PLAN).runs)
def test_every_run_has_valid_settings_and_changes_what_it_says(run):
    plan = read_plan(PLAN)
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
    path.write_text(yaml.safe_dump(yaml.safe_load(PLAN.read_text()) | changes, sort_keys=False))
    with pytest.raises(UserError, match=says):
        read_plan(path).settings(run, 1, PARAMS)
