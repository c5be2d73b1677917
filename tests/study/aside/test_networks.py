"""Training and evaluation outside the study, on a tiny cohort of balls, from the command line."""

import json
import shutil
from unittest.mock import Mock

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.segmenter import Segmenter
from segsrgan_study.aside import networks as aside
from segsrgan_study.aside.networks import train_aside
from segsrgan_study.files import save_image
from segsrgan_study.params import read_params
from segsrgan_study.paths import Study
from segsrgan_study.steps.network.fit import fit
from tests.settings import ROOT
from tests.study.conftest import cohort, make_study


def splits(root, **changes):
    """Rename splits of the cohort `balls`; None leaves a split's images out."""
    path = root / "data_manifests" / "balls.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table["split"] = table["split"].map(lambda name: changes.get(name, name))
    table.dropna(subset="split").to_csv(path, index=False)


TRAIN = ("train", "balls", "--out", "model", "--setting", "tiny")
CALIBRATE = ("calibrate", "balls", "--model", "model", "--out", "mine", "--setting", "tiny")
EVALUATE = ("evaluate", "balls", "--model", "model", "--out", "eval", "--setting", "tiny")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What a training gives, and the folder that it leaves: one training for all tests."""
    root = make_study(tmp_path_factory.mktemp("trained") / "study")
    results = []
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SEGSRGAN_DATA", raising=False)
        patch.setattr(aside, "fit", lambda *arguments: results.append(fit(*arguments)) or results[-1])
        assert train_aside(Study(root), read_params(root / "params.yaml", "balls", "tiny"), ["balls"], root / "model")
    return results[0], root / "model"


@pytest.fixture
def model(balls, trained):
    """The study with the trained network in its folder `model`."""
    return shutil.copytree(trained[1], balls / "model")


def test_from_cohort_to_model_to_scores(balls, model, run):
    files = {"generator.npz", "model.json", "history.csv", "training.json", "MODEL_CARD.md"}
    assert {path.name for path in model.iterdir()} == files
    assert len(pd.read_csv(model / "history.csv")) == 2
    assert "balls (2 images to train, 1 to validate)" in (model / "MODEL_CARD.md").read_text()
    run(*EVALUATE)
    scores = pd.read_csv(balls / "eval" / "per_subject.csv")
    assert set(scores["subject"]) == {"ballsd"}
    assert set(scores["method"]) == {"segsrgan", "spline"}
    metrics, facts = (json.loads((balls / "eval" / f"{name}.json").read_text()) for name in ("metrics", "evaluation"))
    assert metrics["psnr"]["spline"]["n"] == 1
    assert facts["weights"]["trained_on"] == "balls"
    assert len(list((balls / "eval" / "images").glob("*.nii.gz"))) == 4
    for folder in (balls / "results", balls / ".work", balls / "eval" / ".work"):
        assert not folder.exists()


def test_a_network_is_calibrated_and_evaluated_with_the_windows_of_its_card(balls, model, monkeypatch, run):
    used, call = [], Segmenter.__call__
    monkeypatch.setattr(Segmenter, "__call__", lambda self, *a, **k: used.append(self.card) or call(self, *a, **k))
    assert "calibrated, temperature" in run(*CALIBRATE[:-1], "other")
    run(*EVALUATE[:-1], "other")
    before, after = (json.loads((folder / "model.json").read_text()) for folder in (model, balls / "mine"))
    # One of val and two of train, as they are and at 4 contrasts; one of test.
    assert [one.step for one in used] == [before["step"]] * 16
    calibration = {"temperature": 1.0, "biases": {}, "drift": None}
    assert {**after, **calibration} == {**before, **calibration}
    assert (balls / "mine" / "generator.npz").read_bytes() == (model / "generator.npz").read_bytes()
    facts = json.loads((balls / "mine" / "calibration.json").read_text())
    assert (facts["cohorts"], facts["cases"]) == (["balls"], 3)
    assert not (balls / "mine" / ".work").exists()


@pytest.mark.usefixtures("model")
def test_a_network_is_calibrated_without_a_train_split(balls, run):
    splits(balls, train="test")
    run(*CALIBRATE)
    assert json.loads((balls / "mine" / "calibration.json").read_text())["cases"] == 1
    splits(balls, val="test")
    assert "no images of the splits val and train" in run(*CALIBRATE, code=2)


@pytest.mark.usefixtures("model")
def test_the_same_training_is_not_done_twice_and_another_not_over_it(balls, run):
    before = (balls / "model" / "generator.npz").stat().st_mtime_ns
    assert "trained before" in run(*TRAIN)
    assert (balls / "model" / "generator.npz").stat().st_mtime_ns == before
    assert "holds a network of another cohort or other settings" in run(*TRAIN[:-1], "miniature", code=2)


def test_a_stopped_training_without_a_test_split_goes_on(balls, trained, monkeypatch, run):
    stopped = Mock(side_effect=KeyboardInterrupt)
    splits(balls, test=None)
    monkeypatch.setattr(aside, "fit", stopped)
    run(*TRAIN, code=130)
    monkeypatch.setattr(aside, "fit", lambda *_: trained[0])
    monkeypatch.setattr(aside, "prepare", stopped)  # must not be called again
    run(*TRAIN)


def test_several_cohorts_train_one_network(balls, trained, monkeypatch, run):
    asked = []
    monkeypatch.setattr(aside, "fit", lambda _, settings, start: asked.append(settings.cohort) or trained[0])
    cohort(balls, "more")
    run("train", "balls", "data_manifests/more.csv", "--out", "both", "--setting", "tiny")
    assert "balls+more (4 images to train, 2 to validate)" in (balls / "both" / "MODEL_CARD.md").read_text()
    assert asked == ["balls+more"]


def test_one_subject_may_have_two_images_and_not_two_cohorts(balls, trained, monkeypatch, run):
    monkeypatch.setattr(aside, "fit", lambda *_: trained[0])
    path = balls / "data_manifests" / "balls.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    again = table[table["subject"] == "ballsa"].assign(image="balls/again.nii.gz", sha256="")
    image = nib.load(balls / "data" / table["image"][0])
    other = Nifti1Image(image.get_fdata(dtype=np.float32) + 1, image.affine)
    save_image(other, balls / "data" / "balls" / "again.nii.gz")
    pd.concat([table, again]).to_csv(path, index=False)
    run(*TRAIN)
    assert "(3 images to train, 1 to validate)" in (balls / "model" / "MODEL_CARD.md").read_text()
    cohort(balls, "more")
    more = pd.read_csv(path.with_name("more.csv"), dtype=str, keep_default_na=False)
    more.assign(subject=more["subject"].str.replace("more", "balls")).to_csv(path.with_name("more.csv"), index=False)
    said = run("train", "balls", "more", "--out", "both", "--setting", "tiny", code=2)
    assert "more.csv: another cohort has ballsa, ballsb, ballsc, too" in said


def test_cohorts_of_different_voxel_sizes_and_a_manifest_elsewhere_are_refused(balls, run):
    cohort(balls, "coarse", spacing=1.5)
    assert "simulation.spacing_mm" in run("train", "balls", "coarse", "--out", "both", "--setting", "tiny", code=2)
    shutil.copy(balls / "data_manifests" / "balls.csv", balls / "balls.csv")
    assert "data_manifests" in run("train", "balls.csv", "--out", "model", code=2)


def test_phantoms_are_made_aside(balls, monkeypatch, run):
    shutil.copy(ROOT / "data_manifests" / "embedded.csv", balls / "data_manifests")
    phantoms = Mock(side_effect=KeyboardInterrupt)
    monkeypatch.setattr(aside, "make_phantoms", phantoms)
    run("train", "embedded", "--out", "model", "--setting", "miniature", code=130)
    assert phantoms.call_args.args[0].data_root("embedded").is_relative_to(balls / "model" / ".work")
