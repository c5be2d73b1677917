from pathlib import Path

import pytest
import yaml

from segsrgan_core.errors import UserError
from segsrgan_study.ablations import read_ablations, settings_of

ROOT = Path(__file__).parents[2]
PLAN, PARAMS = ROOT / "ablations" / "ablations.yaml", ROOT / "params.yaml"


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


@pytest.mark.parametrize("run", read_ablations(PLAN).runs)
def test_every_run_has_valid_settings_and_changes_what_it_says(run):
    plan = read_ablations(PLAN)
    settings = settings_of(plan, run, 7, PARAMS).model_dump(mode="json")
    assert settings["seed"] == 7
    for key, value in {**plan.common, **plan.runs[run]}.items():
        section, name = key.split(".")
        assert settings[section][name] == value


def test_the_ablations_are_those_that_were_asked_for():
    plan = read_ablations(PLAN)
    assert len(plan.seeds) >= 3
    assert set(plan.factors) >= {"generator", "adversarial term", "objective", "contrast", "thickness"}
    levels = {level: plan.runs[run] for level, run in plan.factors["contrast"].items()}
    shared = plan.common["training.contrast_model"]
    assert all(level == run.get("training.contrast_model", shared) for level, run in levels.items())


def test_a_misspelt_key_of_a_run_is_named(content, plan):
    content["runs"]["residual"] = {"model.generater": "residual"}
    with pytest.raises(UserError, match=r"model\.generater: unknown key \(did you mean 'generator'\?\)"):
        settings_of(read_ablations(plan(content)), "residual", 1, PARAMS)


def test_an_unknown_run_is_named():
    with pytest.raises(UserError, match=r"expected one of reference, .*received 'refrence'"):
        settings_of(read_ablations(PLAN), "refrence", 1, PARAMS)


def test_a_level_without_a_run_is_refused(content, plan):
    content["factors"]["generator"]["another"] = "other"
    with pytest.raises(UserError, match=r"not of \['other'\]"):
        read_ablations(plan(content))


def test_a_plan_with_an_unknown_key_is_refused(content, plan):
    with pytest.raises(UserError, match=r"seed: .*correct it"):
        read_ablations(plan({**content, "seed": 3}))
