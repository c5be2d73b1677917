import shutil

import pytest
import yaml

from segsrgan_core.errors import UserError
from segsrgan_study.params import notebook_settings, parse_params, read_params
from tests.settings import PARAMS


@pytest.fixture
def content():
    return yaml.safe_load(PARAMS.read_text())


def test_the_paper_setting_is_the_published_one():
    paper = read_params(PARAMS, setting="paper")
    assert (paper.model.generator, paper.model.kernel, paper.model.padding) == ("residual", 7, "reflect")
    training = paper.training
    assert (training.batch, training.epochs, training.n_critic, training.adversarial_from) == (16, 200, 5, 0)
    assert (training.lambda_rec, training.lambda_adv, training.lambda_gp) == (1, 1e-3, 10)
    assert (training.lambda_image, training.lambda_dice, training.lambda_ce, training.beta_1) == (0, 0, 0, 0.5)


@pytest.mark.parametrize("section", ["embedded", "simulation", "model", "training", "inference", "variability"])
def test_each_missing_line_and_section_is_named(content, section):
    for key in content[section]:
        with pytest.raises(UserError, match=rf"params: {section}\.{key}: a value is missing; correct it"):
            parse_params({**content, section: {name: value for name, value in content[section].items() if name != key}})
    with pytest.raises(UserError, match=rf"params: {section}: a value is missing; correct it"):
        parse_params({name: value for name, value in content.items() if name != section})


def test_a_network_is_tested_on_slices_that_it_was_trained_on(content):
    content["training"]["thickness_mm"] = [2.0, 2.5]
    with pytest.raises(UserError, match=r"\.thickness_mm: the range 2 to 2\.5 mm leaves out simulation\.slice_mm"):
        parse_params(content)
    content["simulation"]["slice_mm"] = 2.5
    assert parse_params(content).simulation.slice_mm == 2.5


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study that is found from the working directory, a folder within it."""
    shutil.copy(PARAMS, tmp_path)
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")


@pytest.mark.usefixtures("study")
def test_a_notebook_has_the_files_values_and_its_own_changes():
    file = read_params(PARAMS)
    empty = {name: {} for name in ("embedded", "simulation", "model", "training", "inference", "baselines")}
    assert notebook_settings(cohort="", setting="", seed=None, **empty) == notebook_settings() == file
    changed = notebook_settings("dhcp", "paper", 0, simulation={"slice_mm": 4.0}, training={"epochs": 2})
    assert (changed.cohort, changed.setting, changed.seed) == ("dhcp", "paper", 0)
    assert changed.simulation == file.simulation.model_copy(update={"slice_mm": 4.0})
    assert changed.training == read_params(PARAMS, setting="paper").training.model_copy(update={"epochs": 2})
    settings = read_params(PARAMS, setting="any_plane")
    assert notebook_settings(**settings.model_dump(mode="json")) == settings


@pytest.mark.usefixtures("study")
def test_a_wrong_change_in_a_notebook_is_told_as_the_notebooks():
    with pytest.raises(UserError, match=r"notebook: simulation\.slicemm: unknown key \(did you mean 'slice_mm'\?\)"):
        notebook_settings(simulation={"slicemm": 4.0})


def test_a_missing_file_and_a_notebook_outside_of_any_study_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="in no study"):
        notebook_settings()
    with pytest.raises(UserError, match="cannot be read"):
        read_params(tmp_path / "params.yaml")


def test_every_fault_is_said_at_once(content):
    content["training"]["patch"] = 60
    content["inference"]["step"] = 0
    with pytest.raises(UserError, match=r"training\.patch.*inference\.step"):
        parse_params(content)


def test_where_cases_run_is_no_part_of_what_identifies_a_result(content):
    settings = [parse_params({**content, "workers": workers}) for workers in (4, "slurm:20")]
    assert [one.workers for one in settings] == ["4", "slurm:20"]
    assert settings[0].model_dump() == settings[1].model_dump()
    with pytest.raises(UserError, match="workers: "):
        parse_params({**content, "workers": "many"})
