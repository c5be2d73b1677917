import json
import subprocess
import sys

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_core import cli, derivatives
from segsrgan_core.networks.generators import build_generator
from segsrgan_core.segmenter import save_model
from tests.test_segmenter import ARGUMENTS, CARD, head


@pytest.fixture
def model(tmp_path):
    save_model(tmp_path / "model", build_generator(**ARGUMENTS), CARD)
    return tmp_path / "model"


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["segsrgan", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return stopped.value.code or 0, capsys.readouterr().err

    return run


def save(image, path):
    nib.save(image, path)
    return path


def test_segment_writes_derivatives_in_bids_names(run, model, tmp_path):
    image = save(head(), tmp_path / "sub-07_ses-1_T2w.nii.gz")
    out = tmp_path / "out"
    code, _ = run("segment", image, "--out", out, "--model", model, "--precision", "float32")
    assert code == 0
    base = out / "sub-07" / "ses-1" / "anat" / "sub-07_ses-1"
    for name in ("desc-segsrgan_T2w", "desc-segsrgan_dseg", "label-CGM_desc-segsrgan_probseg"):
        assert np.asarray(nib.load(f"{base}_{name}.nii.gz").dataobj).ndim == 3
        assert json.loads((base.parent / f"{base.name}_{name}.json").read_text())["TrainedOn"] == "embedded"
    assert json.loads((out / "dataset_description.json").read_text())["DatasetType"] == "derivative"
    volumes = pd.read_csv(out / "volumes.tsv", sep="\t")
    assert volumes.columns.tolist() == ["image", "cortex_ml"]


def test_one_bad_image_does_not_stop_the_others(run, model, tmp_path):
    good = save(head(), tmp_path / "good.nii.gz")
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(good.read_bytes()[:2000])
    missing = tmp_path / "missing.nii.gz"
    out = tmp_path / "out"
    code, said = run("segment", bad, missing, good, "--out", out, "--model", model, "--precision", "float32")
    assert code == 2
    assert "bad.nii.gz" in said
    assert "missing.nii.gz" in said
    assert "Traceback" not in said
    assert pd.read_csv(out / "volumes.tsv", sep="\t")["image"].tolist() == ["good.nii.gz"]
    assert sorted(pd.read_csv(out / "failures.tsv", sep="\t")["image"]) == ["bad.nii.gz", "missing.nii.gz"]
    assert not list(out.rglob("*bad*"))


def test_two_images_that_would_share_their_outputs_are_refused(run, model, tmp_path):
    (tmp_path / "a").mkdir()
    images = [save(head(), tmp_path / "T2.nii.gz"), save(head(), tmp_path / "a" / "T2.nii.gz")]
    code, said = run("segment", *images, "--out", tmp_path / "out", "--model", model)
    assert code == 2
    assert "different names" in said


def test_an_image_out_of_the_networks_range_is_noted(run, model, tmp_path):
    image = save(head(thickness=6.0), tmp_path / "thick.nii.gz")
    code, said = run("segment", image, "--out", tmp_path / "out", "--model", model, "--precision", "float32")
    assert code == 0
    assert "6 mm thick" in said


def test_a_missing_model_is_one_sentence(run, tmp_path):
    code, said = run("segment", save(head(), tmp_path / "a.nii"), "--out", tmp_path / "o", "--model", tmp_path / "none")
    assert code == 2
    assert said.startswith("segsrgan: ")
    assert said.count("\n") == 1


def test_a_full_disk_is_one_sentence(run, model, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", str(tmp_path / "out"))

    monkeypatch.setattr(derivatives, "write_description", full)
    code, said = run("segment", save(head(), tmp_path / "a.nii"), "--out", tmp_path / "out", "--model", model)
    assert code == 2
    assert "No space left on device" in said


def test_an_unknown_preset_is_one_sentence(run, tmp_path):
    code, said = run("manifest", "dhpc", tmp_path)
    assert code == 2
    assert "dhpc" in said


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sub-01_ses-2_acq-te120_T2w.nii.gz", "sub-01_ses-2_acq-te120"),
        ("sub-01_desc-restore_T2w.nii", "sub-01"),
        ("Baby 12 T2.nii.gz", "sub-Baby12T2"),
    ],
)
def test_entities_of_any_name(name, expected, tmp_path):
    assert derivatives.entities(tmp_path / name) == expected


def test_help_imports_nothing_heavy():
    code = (
        "import sys, segsrgan_core.cli; sys.exit(bool({'tensorflow', 'pandas', 'nibabel', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_volume_of_four_dimensions_is_named(run, model, tmp_path):
    image = save(Nifti1Image(np.zeros((4, 4, 4, 3), np.float32), np.eye(4)), tmp_path / "four.nii.gz")
    code, said = run("segment", image, "--out", tmp_path / "out", "--model", model)
    assert code == 2
    assert "3-D" in said
