import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.atomic import write_json
from segsrgan_study import files


def test_a_saved_image_is_in_the_scanners_space_and_has_the_same_bytes_again(tmp_path):
    image = Nifti1Image(np.random.default_rng(0).normal(100, 10, (6, 7, 8)).astype(np.float32), np.eye(4))
    path = files.save_image(image, tmp_path / "good.nii.gz")
    header = nib.load(path).header
    assert (int(header["qform_code"]), int(header["sform_code"])) == (1, 1)
    again = files.save_image(files.load_image(path), tmp_path / "elsewhere" / "other.nii.gz")
    assert files.sha256(again) == files.sha256(path)


def test_json_and_tables_are_rounded_and_the_same_everywhere(tmp_path, monkeypatch):
    path = write_json(tmp_path / "a.json", {"b": np.float32(0.123456789), "a": float("nan"), 1: (np.int64(2),)})
    assert path.read_text() == '{\n  "1": [\n    2\n  ],\n  "a": null,\n  "b": 0.123457\n}\n'
    monkeypatch.setattr("os.linesep", "\r\n")
    path = files.write_csv(tmp_path / "a.tsv", pd.DataFrame({"x": [1 / 3], "name": ["s"]}), sep="\t")
    assert path.read_bytes() == b"x\tname\n0.333333\ts\n"


def test_a_stem_has_no_image_suffix_and_keeps_its_dots():
    names = {"a/sub-1_T2w.nii.gz": "sub-1_T2w", "b.c.NII": "b.c", "d.mgz": "d", "e.txt": "e", "folder": "folder"}
    assert {name: files.stem(name) for name in names} == names


def test_grids_are_apart_by_their_farthest_corner():
    voxels = np.zeros((4, 50, 600))
    for axis, length in enumerate(voxels.shape):
        wider = np.eye(4)
        wider[axis, axis] = 1.01
        apart = files.grid_distance_mm(Nifti1Image(voxels, np.eye(4)), Nifti1Image(voxels, wider))
        assert apart == pytest.approx(0.01 * length)
    a, moved = Nifti1Image(np.zeros((4, 4, 4)), np.eye(4)), nib.affines.from_matvec(np.eye(3), (0.02, 0, 0))
    assert files.same_grid(a, Nifti1Image(np.zeros((4, 4, 4)), np.eye(4)))
    assert not files.same_grid(a, Nifti1Image(np.zeros((4, 4, 4)), moved))
    assert not files.same_grid(a, Nifti1Image(np.zeros((4, 4, 5)), np.eye(4)))
