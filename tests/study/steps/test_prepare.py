"""Many cases: one that fails is named, the others are prepared, and only what is missing is prepared again."""

import numpy as np
import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.manifest import read_manifest
from segsrgan_study.params import read_params
from segsrgan_study.paths import Study
from segsrgan_study.steps.data.prepare import prepare
from tests.study.steps.test_aside import study as balls  # noqa: F401 (a fixture)


@pytest.fixture
def arguments(balls):  # noqa: F811
    study = Study(balls)
    settings = read_params(study.params, cohort="balls", setting="tiny")
    return study, settings, read_manifest(study.manifest("balls"))


def test_a_case_that_fails_is_named_the_others_are_prepared_and_then_it_alone(arguments, capsys):
    study, _, manifest = arguments
    path = study.data_root("balls") / manifest.loc[manifest["subject"] == "ballsb", "image"].item()
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    with pytest.raises(UserError, match=r"1 of 4 failed and the others are done \(ballsb: "):
        prepare(*arguments, ("train", "val", "test"), keep=True)
    assert "segsrgan: ballsb: " in capsys.readouterr().err
    folder = study.work / "prepared"
    before = {one: one.stat().st_mtime_ns for one in folder.glob("*.nii.gz")}
    assert {one.name[:6] for one in before} == {"ballsa", "ballsc", "ballsd"}
    path.write_bytes(whole)
    table = prepare(*arguments, ("train", "val", "test"), keep=True)
    assert table["name"].tolist() == ["ballsa", "ballsb", "ballsc", "ballsd"]
    assert all(one.stat().st_mtime_ns == time for one, time in before.items())
    assert len(list(folder.glob("ballsb*.nii.gz"))) == 5


def test_several_processes_prepare_the_same(arguments):
    study, settings, manifest = arguments
    prepare(*arguments)
    before = {path: path.read_bytes() for path in (study.work / "prepared").iterdir()}
    for path in before:
        path.unlink()
    prepare(study, settings.model_copy(update={"workers": "2"}), manifest)
    assert {path: path.read_bytes() for path in (study.work / "prepared").iterdir()} == before
    assert np.all([len(content) > 0 for content in before.values()])
