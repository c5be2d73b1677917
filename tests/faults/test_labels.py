"""Every faulty label map in one folder, given to `segsrgan manifest`."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.faults.fault import Fault, files_below, segsrgan, sentence_about
from tests.faults.images import head, image, tissues


def _saved(path: Path, data: np.ndarray, affine: np.ndarray | None = None) -> None:
    nib.save(image(data, affine), path)


def _with_voxel(path: Path, value: float) -> None:
    data = tissues().astype(np.float32)
    data[16, 18, 6] = value
    _saved(path, data)


def _moved(path: Path, voxels: tuple[float, float, float]) -> None:
    affine = image().affine
    affine[:3, 3] += affine[:3, :3] @ voxels
    _saved(path, tissues(), affine)


def _elsewhere(path: Path) -> None:
    outside = path.parents[2] / "elsewhere.nii"
    _saved(outside, tissues())
    os.symlink(outside, path)


def _fault(name: str, says: str, make: Callable[..., object], *arguments: object) -> Fault:
    return Fault(name, lambda path: make(path, *arguments), says)


LABELS = [
    _fault("probabilities", "whole numbers", _saved, tissues() / np.float32(9)),
    _fault("negative", "whole numbers", _with_voxel, -1),
    _fault("nan", "whole numbers", _with_voxel, np.nan),
    _fault("too_large", "whole numbers", _with_voxel, 40000),
    _fault("unknown", r"received also \[77\]", _with_voxel, 77),
    _fault("nothing", "received 0 in all", _saved, np.zeros((32, 36, 12), np.int16)),
    _fault("half_a_voxel_off", "0.5 mm", _moved, (0.5, 0, 0)),
    _fault("a_slice_off", "3 mm", _moved, (0, 0, -1)),
    _fault("other_shape", r"\(32, 36, 11\)", _saved, tissues()[:, :, :-1]),
    _fault("four_dimensions", "3-D", _saved, np.stack([tissues()] * 2, -1)),
    _fault("text", "cannot be read", Path.write_text, "1 2 3"),
    _fault("link_to_nothing", "nothing there", Path.symlink_to, "gone.nii"),
    _fault("link_out_of_the_folder", "received a link to", _elsewhere),
]


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
