import os
import re
from pathlib import Path

import numpy as np
import pytest

from tests.faults.fault import each, fault, files_below, segsrgan, sentence_about
from tests.faults.images import head, image, saved, tissues, with_voxel


def _moved(path: Path, voxels: tuple[float, float, float]) -> None:
    affine = image().affine
    affine[:3, 3] += affine[:3, :3] @ voxels
    saved(path, tissues(), affine)


def _elsewhere(path: Path) -> None:
    outside = path.parents[2] / "elsewhere.nii"
    saved(outside, tissues())
    os.symlink(outside, path)


LABELS = [
    fault("probabilities", "whole numbers", saved, tissues() / np.float32(9)),
    fault("negative", "whole numbers", with_voxel, -1, tissues().astype(np.float32)),
    fault("nan", "whole numbers", with_voxel, np.nan, tissues().astype(np.float32)),
    fault("too_large", "whole numbers", with_voxel, 40000, tissues().astype(np.float32)),
    fault("unknown", r"the labels \[77\] have no meaning", with_voxel, 77, tissues().astype(np.float32)),
    fault("nothing", "0 in all voxels", saved, np.zeros((32, 36, 12), np.int16)),
    fault("half_a_voxel_off", "0.5 mm", _moved, (0.5, 0, 0)),
    fault("a_slice_off", "3 mm", _moved, (0, 0, -1)),
    fault("other_shape", r"\(32, 36, 11\)", saved, tissues()[:, :, :-1]),
    fault("link_out_of_the_folder", "the link to .* leads out", _elsewhere),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The study, and what was said."""
    study = tmp_path_factory.mktemp("study")
    folder = study / "mine"
    for name in ("params.yaml", "dvc.yaml"):
        (study / name).touch()
    for place in ("images", "labels"):
        (folder / place).mkdir(parents=True)
    for number, faulty in enumerate(LABELS):
        saved(folder / "images" / f"{faulty.name}.nii", head() + number)
        faulty.make(folder / "labels" / f"{faulty.name}.nii")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(study)
        return study, segsrgan("manifest", "folder", folder, "--name", "mine", "--split", "train", code=2)


@each(LABELS)
def test_a_faulty_label_map_is_one_sentence(fault, run):
    study, said = run
    sentence = sentence_about(f"{study / 'data/mine/labels' / fault.name}.nii: ", said)
    assert re.search(fault.says, sentence), sentence


def test_nothing_was_written_but_of_labels_without_a_fault(run, monkeypatch):
    study = run[0]
    assert files_below(study / "data") + files_below(study / "data_manifests") == []
    for place, data in (("images", head()), ("labels", tissues().astype("float64"))):
        (study / "floats" / place).mkdir(parents=True)
        saved(study / "floats" / place / "sub-1.nii.gz", data)
    monkeypatch.chdir(study)
    segsrgan("manifest", "folder", "floats", "--name", "floats", "--split", "train")
    assert "sub-1" in (study / "data_manifests" / "floats.csv").read_text()
