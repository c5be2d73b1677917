import pytest
import yaml

from segsrgan_core.errors import UserError
from segsrgan_study.ablations.plan import read_plan
from segsrgan_study.params import merged
from tests.settings import PARAMS, ROOT

PLAN = ROOT / "ablations" / "ablations.yaml"


@pytest.fixture
def content():
    return yaml.safe_load(PLAN.read_text())


@pytest.fixture
def plan(tmp_path):
    def write(content):
        path = tmp_path / "ablations.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


@pytest.mark.parametrize("run", read_plan(PLAN).runs)
def test_every_run_has_valid_settings_and_changes_what_it_says(run):
    plan = read_plan(PLAN)
    settings = plan.settings(run, 7, PARAMS).model_dump(mode="json")
    assert settings["seed"] == 7
    for section, changes in merged(plan.common, plan.runs[run]).items():
        assert {name: settings[section][name] for name in changes} == changes


def test_a_misspelt_key_of_a_run_is_named(content, plan):
    content["runs"]["residual"] = {"model": {"generater": "residual"}}
    with pytest.raises(UserError, match=r"model\.generater: unknown key \(did you mean 'generator'\?\)"):
        read_plan(plan(content)).settings("residual", 1, PARAMS)


def test_an_unknown_run_is_named():
    with pytest.raises(UserError, match=r"'refrence' is not one of reference, "):
        read_plan(PLAN).settings("refrence", 1, PARAMS)


def test_a_level_without_a_run_is_refused(content, plan):
    content["factors"]["generator"]["another"] = "other"
    with pytest.raises(UserError, match=r"factors name other"):
        read_plan(plan(content))


def test_a_plan_with_an_unknown_key_is_refused(content, plan):
    with pytest.raises(UserError, match=r"seed: .*correct it"):
        read_plan(plan({**content, "seed": 3}))
