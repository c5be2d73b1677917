"""A study on a tiny cohort of balls; scores and volumes that figures and tables are made from."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from nibabel.nifti1 import Nifti1Image

from segsrgan_study.cohorts.manifest import read_manifest
from segsrgan_study.cohorts.presets import make_manifest
from segsrgan_study.files import save_image
from segsrgan_study.params import read_params
from segsrgan_study.paths import Study
from segsrgan_study.steps.data.prepare import prepare
from tests.settings import ROOT
from tests.study.statistics.patients import patients

SETTING = {
    "simulation": {"slice_mm": 2.0},
    "model": {"k": 2, "critic_width": 2, "precision": "float32"},
    "training": {"patch": 16, "epochs": 2, "steps_per_epoch": 1, "adversarial_from": 1.0, "thickness_mm": [2.0, 2.0]},
    "inference": {"window": 16, "step": 16, "validation_step": 16},
}
OTHER_WINDOWS = {"window": 16, "step": 12, "flips": ["y", "z"], "validation_step": 16}


def subject(folder, name, spacing=1.0):
    radius = np.linalg.norm(np.stack(np.indices((20, 22, 18)), -1) - [10, 11, 9], axis=-1)
    labels = np.select([radius < 4, radius < 7], [3, 2], 0).astype(np.int16)
    image = np.array([10, 0, 120, 240], np.float32)[labels]
    image += np.random.default_rng([*name.encode()]).random(image.shape, np.float32)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    save_image(Nifti1Image(image, affine), folder / "images" / f"{name}.nii.gz")
    save_image(Nifti1Image(labels, affine), folder / "labels" / f"{name}.nii.gz")


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Return a function that puts a shell script on PATH."""

    def write(name, body):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")

    return write


@pytest.fixture
def balls(tmp_path, monkeypatch):
    """The root of a study with the cohort `balls` (2 train, 1 val, 1 test), the working directory."""
    monkeypatch.delenv("SEGSRGAN_DATA", raising=False)
    monkeypatch.chdir(make_study(tmp_path / "study"))
    return tmp_path / "study"


def make_study(root):
    (root / "data_manifests").mkdir(parents=True)
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["settings"] |= {"tiny": SETTING, "other": {**SETTING, "inference": OTHER_WINDOWS}}
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    shutil.copy(ROOT / "dvc.yaml", root)
    cohort(root, "balls")
    return root


def cohort(root, name, spacing=1.0):
    folder = root.parent / f"source_{name}"
    for letter in "abcd":
        subject(folder, f"{name}{letter}", spacing)
    shares = {"val": f"{name}c,", "test": f"{name}d,"}
    make_manifest("folder", folder, root / "data_manifests", root / "data", name=name, **shares)


@pytest.fixture
def arguments(balls):
    """What `prepare` takes: the study, its settings and its manifest."""
    study = Study(balls)
    return study, read_params(study.params, cohort="balls", setting="tiny"), read_manifest(study.manifest("balls"))


@pytest.fixture
def prepared(arguments):
    prepare(*arguments)
    return arguments


@pytest.fixture(scope="session")
def scores() -> pd.DataFrame:
    """`results/evaluation/per_subject.csv` of six subjects."""
    rng, rows = np.random.default_rng(0), []
    values = {
        ("segsrgan", "image"): {"psnr": 27, "ssim": 0.9},
        ("spline", "image"): {"psnr": 24, "ssim": 0.8},
        ("segsrgan", "cortex"): {"dice": 0.86, "hd95_mm": 1, "asd_mm": 0.4, "volume_error": 0.02, "euler_error": 2},
        ("imapa", "cortex"): {"dice": 0.79, "hd95_mm": 2, "asd_mm": 0.5, "volume_error": -0.1, "euler_error": 5},
        ("segsrgan", "white"): {"dice": 0.9},
    }
    for (method, structure), metrics in values.items():
        for metric, value in metrics.items():
            rows += [("embedded", f"sub-{i}", method, structure, metric, value * rng.normal(1, 0.02)) for i in range(6)]
    return pd.DataFrame(rows, columns=["cohort", "subject", "method", "structure", "metric", "value"])


@pytest.fixture(scope="session")
def volumes() -> pd.DataFrame:
    """`results/variability/volumes.csv` of eight patients."""
    return patients(8)
