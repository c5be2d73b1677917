"""Training and evaluation outside the study, on a tiny cohort of balls, from the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from nibabel.nifti1 import Nifti1Image

from segsrgan_study.cohorts.presets import make_manifest
from segsrgan_study.steps import aside

ROOT = Path(__file__).parents[3]
SETTING = {
    "simulation": {"slice_mm": 2.0},
    "model": {"k": 2, "critic_width": 2, "precision": "float32"},
    "training": {"patch": 16, "epochs": 2, "steps_per_epoch": 1, "adversarial_from": 1.0, "thickness_mm": [2.0, 2.0]},
    "inference": {"step": 16, "validation_step": 16},
}


def subject(folder, name, save, spacing=1.0):
    grid = np.stack(np.indices((20, 22, 18)), -1) - [10, 11, 9]
    radius = np.linalg.norm(grid, axis=-1)
    labels = np.select([radius < 4, radius < 7], [3, 2], 0).astype(np.int16)
    image = np.array([10, 0, 120, 240], np.float32)[labels]
    image += np.random.default_rng([*name.encode()]).random(image.shape, np.float32)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    save(Nifti1Image(image, affine), folder / "images" / f"{name}.nii.gz")
    save(Nifti1Image(labels, affine), folder / "labels" / f"{name}.nii.gz")


@pytest.fixture
def study(tmp_path, save, monkeypatch):
    """A study with the cohort `balls` (2 train, 1 val, 1 test) and a setting for the tests."""
    root = tmp_path / "study"
    (root / "data_manifests").mkdir(parents=True)
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["settings"]["tiny"] = SETTING
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    shutil.copy(ROOT / "dvc.yaml", root)
    monkeypatch.delenv("SEGSRGAN_DATA", raising=False)
    monkeypatch.chdir(root)
    cohort(root, "balls", save)
    return root


def cohort(root, name, save, spacing=1.0):
    folder = root.parent / f"source_{name}"
    for letter in "abcd":
        subject(folder, f"{name}{letter}", save, spacing)
    shares = {"val": f"{name}c,", "test": f"{name}d,"}
    make_manifest("folder", folder, root / "data_manifests", root / "data", name=name, **shares)


TRAIN = ("train", "balls", "--out", "model", "--setting", "tiny")


def test_from_cohort_to_model_to_scores(study, run):
    code, said = run(*TRAIN)
    assert code == 0, said
    model = study / "model"
    assert {path.name for path in model.iterdir()} == {
        "generator.npz", "model.json", "history.csv", "training.json", "MODEL_CARD.md",
    }  # fmt: skip
    assert len(pd.read_csv(model / "history.csv")) == 2
    assert "balls (2 images to train, 1 to validate)" in (model / "MODEL_CARD.md").read_text()
    code, said = run("evaluate", "balls", "--model", "model", "--out", "eval", "--setting", "tiny")
    assert code == 0, said
    scores = pd.read_csv(study / "eval" / "per_subject.csv")
    assert set(scores["subject"]) == {"ballsd"}
    assert set(scores["method"]) == {"segsrgan", "spline"}
    metrics = json.loads((study / "eval" / "metrics.json").read_text())
    assert metrics["psnr"]["spline"]["n"] == 1
    assert len(list((study / "eval" / "images").glob("*.nii.gz"))) == 4
    facts = json.loads((study / "eval" / "evaluation.json").read_text())
    assert facts["weights"]["trained_on"] == "balls"
    for folder in (study / "results", study / ".work", study / "eval" / ".work"):
        assert not folder.exists()


def test_a_network_is_calibrated_on_another_cohort(study, run):
    run(*TRAIN)
    code, said = run("calibrate", "balls", "--model", "model", "--out", "mine", "--setting", "tiny")
    assert code == 0, said
    assert "calibrated on" in said
    before, after = (json.loads((study / name / "model.json").read_text()) for name in ("model", "mine"))
    assert after["error_cases"] >= 1
    assert {**after, **{key: before[key] for key in ("threshold", "error_factors", "error_cases")}} == before
    weights = [(study / name / "generator.npz").read_bytes() for name in ("model", "mine")]
    assert weights[0] == weights[1]
    assert json.loads((study / "mine" / "calibration.json").read_text())["cohorts"] == ["balls"]
    assert not (study / "mine" / ".work").exists()


def test_the_same_training_is_not_done_twice_and_another_not_over_it(study, run):
    run(*TRAIN)
    before = (study / "model" / "generator.npz").stat().st_mtime_ns
    code, said = run(*TRAIN)
    assert code == 0
    assert "trained before" in said
    assert (study / "model" / "generator.npz").stat().st_mtime_ns == before
    code, said = run(*TRAIN[:-1], "miniature")
    assert code == 2
    assert "holds a network of another cohort or other settings" in said


def test_a_stopped_training_goes_on_with_what_is_prepared(study, run, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(aside, "fit", stopped)
        assert run(*TRAIN)[0] != 0
    monkeypatch.setattr(aside, "prepare", stopped)  # must not be called again
    code, said = run(*TRAIN)
    assert code == 0, said


def test_several_cohorts_train_one_network(study, run, save):
    cohort(study, "more", save)
    code, said = run("train", "balls", "data_manifests/more.csv", "--out", "both", "--setting", "tiny")
    assert code == 0, said
    assert "balls+more (4 images to train, 2 to validate)" in (study / "both" / "MODEL_CARD.md").read_text()
    assert json.loads((study / "both" / "model.json").read_text())["cohort"] == "balls+more"


def test_cohorts_of_different_voxel_sizes_are_refused(study, run, save):
    cohort(study, "coarse", save, spacing=1.5)
    code, said = run("train", "balls", "coarse", "--out", "both", "--setting", "tiny")
    assert code == 2
    assert "simulation.spacing_mm" in said


def test_a_manifest_elsewhere_is_refused(study, run):
    shutil.copy(study / "data_manifests" / "balls.csv", study / "balls.csv")
    code, said = run("train", "balls.csv", "--out", "model")
    assert code == 2
    assert "data_manifests" in said


def test_phantoms_are_made_aside(study, run, monkeypatch):
    shutil.copy(ROOT / "data_manifests" / "embedded.csv", study / "data_manifests")
    made = []

    def phantoms(bench, settings):
        made.append(bench.data_root("embedded"))
        raise KeyboardInterrupt

    monkeypatch.setattr(aside, "make_phantoms", phantoms)
    assert run("train", "embedded", "--out", "model", "--setting", "miniature")[0] != 0
    assert made[0].is_relative_to(study / "model" / ".work")
