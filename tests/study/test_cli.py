import os
import subprocess
import sys
from unittest.mock import Mock

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from segsrgan_core.atomic import write_text
from segsrgan_study.own_images import bids
from tests.core.test_segmenter import head
from tests.settings import PARAMS


def test_segment_from_file_to_volumes(run, save, model, tmp_path):
    image = save(head(), tmp_path / "sub-07_ses-1_T2w.nii.gz")
    arguments = ("segment", image, "--out", tmp_path / "out", "--model", model, "--precision", "float32")
    said = run(*arguments)
    assert "weights 'model', trained on embedded" in said
    assert "windows" in said
    assert "segmented 1/1" in said  # progress in plain lines where there is no terminal
    labels = nib.load(tmp_path / "out" / "sub-07" / "ses-1" / "anat" / "sub-07_ses-1_desc-segsrgan_dseg.nii.gz")
    assert set(np.unique(labels.dataobj)) <= {0, 2}
    assert pd.read_csv(tmp_path / "out" / "volumes.tsv", sep="\t")["session_id"].tolist() == ["ses-1"]
    assert "0 segmented, 1 there already, 0 failed" in run(*arguments)


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (("--participant-label", "08", "sub-09"), "08 09: not there; give one of: 01."),
        (("--session_label=4",), "4: not there; give one of: 1."),
        *((empty, "empty text") for empty in (("",), ("--out", ""), ("--out=",), ("--model", ""))),
    ],
)
def test_labels_as_bids_apps_take_them(run, tmp_path, option, sentence):
    (tmp_path / "sub-01_ses-1_T2w.nii").touch()
    assert sentence in run("segment", tmp_path, *option, "--out", tmp_path / "out", code=2)
    assert not (tmp_path / "out").exists()


def test_the_settings_of_other_projects_change_nothing(tmp_path):
    write_text(tmp_path / ".keras" / "keras.json", '{"backend": "theano", "floatx": "float16", "epsilon": 0.1}')
    others = {"HOME": str(tmp_path), "KERAS_BACKEND": "jax", "KERAS_MAX_EPOCHS": "1", "KERAS_HOME": str(tmp_path)}
    code = "import segsrgan_core, keras; c = keras.config; print(c.backend(), c.floatx(), c.epsilon(), c.max_epochs())"
    environment = {**os.environ, **others}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["tensorflow", "float32", "1e-07", "None"]


def test_a_library_that_was_imported_too_early_for_speed_is_told():
    code = "import sys; sys.modules['tensorflow'] = None; import segsrgan_core"
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "import segsrgan_core before it" in done.stderr


def test_a_full_disk_is_one_sentence(run, save, model, tmp_path, monkeypatch):
    full = OSError(28, "No space left on device", str(tmp_path / "out"))
    monkeypatch.setattr(bids, "write_top", Mock(side_effect=full))
    image = save(head(), tmp_path / "a.nii")
    assert "No space left on device" in run("segment", image, "--out", tmp_path / "out", "--model", model, code=2)


HEAVY = {"tensorflow", "pandas", "nibabel", "scipy", "numpy", "matplotlib", "pydantic"}


@pytest.mark.parametrize(("module", "heavy"), [("cli", HEAVY), ("bet.extraction", {"tensorflow"})])
def test_help_and_a_process_for_brain_extraction_import_nothing_heavy(module, heavy):
    code = f"import sys, segsrgan_study.{module}; sys.exit(bool({heavy!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_phantoms_are_made_where_the_cohort_is_another(run, tmp_path, monkeypatch):
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "params.yaml").write_text(PARAMS.read_text().replace("cohort: embedded", "cohort: fetal_atlas"))
    monkeypatch.chdir(tmp_path)
    run("phantoms")
    assert list((tmp_path / "data" / "embedded").iterdir()) == []
    assert not (tmp_path / "data_manifests").exists()
