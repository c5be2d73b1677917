"""Every faulty label map in one folder, given to `segsrgan manifest`."""

import re

import nibabel as nib
import pytest

from tests.faults.fault import files_below, segsrgan, sentence_about
from tests.faults.images import head, image
from tests.faults.labels import LABELS, tissues


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    for name in ("params.yaml", "dvc.yaml"):
        (root / name).touch()
    return root


@pytest.fixture(scope="module")
def run(study):
    folder = study / "mine"
    for place in ("images", "labels"):
        (folder / place).mkdir(parents=True)
    for number, fault in enumerate(LABELS):
        nib.save(image(head() + number), folder / "images" / f"{fault.name}.nii")
        fault.make(folder / "labels" / f"{fault.name}.nii")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(study)
        code, said = segsrgan("manifest", "folder", folder, "--name", "mine", "--split", "train")
    return study, code, said


@pytest.mark.parametrize("fault", LABELS, ids=lambda fault: fault.name)
def test_a_faulty_label_map_is_one_sentence(fault, run):
    study, code, said = run
    sentence = sentence_about(f"{study / 'data/mine/labels' / fault.name}.nii: ", said)
    assert re.search(fault.says, sentence), sentence
    assert code == 2


def test_nothing_was_written(run):
    study = run[0]
    assert files_below(study / "data") + files_below(study / "data_manifests") == []


def test_floating_point_labels_are_accepted(study, monkeypatch):
    folder = study / "floats"
    for place, data in (("images", head()), ("labels", tissues().astype("float64"))):
        (folder / place).mkdir(parents=True)
        nib.save(image(data), folder / place / "sub-1.nii.gz")
    monkeypatch.chdir(study)
    assert segsrgan("manifest", "folder", folder, "--name", "floats", "--split", "train")[0] == 0
    assert "sub-1" in (study / "data_manifests" / "floats.csv").read_text()
