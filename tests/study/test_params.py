from pathlib import Path

import pytest
import yaml

from segsrgan_core.errors import UserError
from segsrgan_study.params import parse_params, read_params

PARAMS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def content():
    return yaml.safe_load(PARAMS.read_text())


@pytest.mark.parametrize("setting", ["quick", "paper", "miniature"])
def test_every_setting_of_the_study_is_valid(setting):
    assert read_params(PARAMS, setting=setting).setting == setting


def test_the_paper_setting_is_the_published_one():
    paper = read_params(PARAMS, setting="paper")
    assert (paper.model.generator, paper.model.kernel, paper.model.padding) == ("residual", 7, "reflect")
    training = paper.training
    assert (training.batch, training.epochs, training.n_critic, training.adversarial_from) == (16, 200, 5, 0)
    assert (training.lambda_rec, training.lambda_adv, training.lambda_gp) == (1, 1e-3, 10)
    assert (training.lambda_dice, training.lambda_ce, training.beta_1) == (0, 0, 0.5)


def test_the_cohort_can_be_named_in_place_of_the_file():
    assert read_params(PARAMS, cohort="dhcp").cohort == "dhcp"


def test_a_misspelt_key_is_named_with_the_right_one(content):
    content["training"]["epoch"] = 3
    with pytest.raises(UserError, match=r"training\.epoch: unknown key \(did you mean 'epochs'\?\)"):
        parse_params(content)


def test_a_misspelt_setting_is_named_with_the_right_one(content):
    content["setting"] = "papr"
    with pytest.raises(UserError, match=r"received 'papr' \(did you mean 'paper'\?\)"):
        parse_params(content)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("training", "patch", 60),
        ("training", "learning_rate", "fast"),
        ("simulation", "slice_mm", -3),
        ("model", "generator", "resnet"),
        ("training", "thickness_mm", [4, 2]),
        ("inference", "threshold", 1.5),
    ],
)
def test_a_bad_value_is_named(content, section, key, value):
    content[section][key] = value
    with pytest.raises(UserError, match=rf"{section}(\.{key})?: .*received") as error:
        parse_params(content)
    assert "\n" not in str(error.value)


def test_every_fault_is_said_at_once(content):
    content["training"]["patch"] = 60
    content["inference"]["step"] = 0
    with pytest.raises(UserError, match=r"training\.patch.*inference\.step"):
        parse_params(content)


@pytest.mark.parametrize(
    ("text", "says"), [("a: [", "expected YAML"), ("- 1", "keys and values"), (None, "cannot be read")]
)
def test_a_file_that_is_no_settings_is_named(tmp_path, text, says):
    path = tmp_path / "params.yaml"
    if text:
        path.write_text(text)
    with pytest.raises(UserError, match=says):
        read_params(path)


def test_where_cases_run_is_no_part_of_what_identifies_a_result(content):
    settings = [parse_params({**content, "workers": workers}) for workers in (4, "slurm:20")]
    assert [one.workers for one in settings] == ["4", "slurm:20"]
    assert settings[0].model_dump() == settings[1].model_dump()
    with pytest.raises(UserError, match="workers: "):
        parse_params({**content, "workers": "many"})
