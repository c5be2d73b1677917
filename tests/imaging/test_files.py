import gzip
import os

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.errors import UserError
from segsrgan_core.imaging import files


@pytest.fixture
def good(tmp_path):
    data = np.random.default_rng(0).normal(100, 10, (6, 7, 8)).astype(np.float32)
    return files.save_image(Nifti1Image(data, np.diag([1.0, 1, 2, 1])), tmp_path / "good.nii.gz")


def test_an_image_survives_saving(good):
    image = files.load_image(good)
    assert image.shape == (6, 7, 8)
    np.testing.assert_array_equal(image.affine, np.diag([1.0, 1, 2, 1]))
    assert image.get_fdata().std() > 1


def test_the_same_image_gives_the_same_bytes(good, tmp_path):
    again = files.save_image(files.load_image(good), tmp_path / "elsewhere" / "other.nii.gz")
    assert files.sha256(again) == files.sha256(files.save_image(files.load_image(again), tmp_path / "third.nii.gz"))


def test_nothing_personal_travels_on(tmp_path):
    image = Nifti1Image(np.arange(27, dtype=np.float32).reshape(3, 3, 3), np.eye(4))
    image.header["descrip"] = b"DOE^JANE"
    nib.save(image, tmp_path / "named.nii")
    clean = files.save_image(files.load_image(tmp_path / "named.nii"), tmp_path / "clean.nii")
    assert b"JANE" not in clean.read_bytes()


def _four_dimensional(path):
    nib.save(Nifti1Image(np.zeros((4, 4, 4, 2), np.float32), np.eye(4)), path)


def _two_dimensional(path):
    nib.save(Nifti1Image(np.zeros((4, 4), np.float32), np.eye(4)), path)


def _with_nan(path):
    data = np.ones((4, 4, 4), np.float32)
    data[0, 0, 0] = np.nan
    nib.save(Nifti1Image(data, np.eye(4)), path)


def _constant(path):
    nib.save(Nifti1Image(np.full((4, 4, 4), 7, np.int16), np.eye(4)), path)


def _complex(path):
    nib.save(Nifti1Image(np.ones((4, 4, 4), np.complex64), np.eye(4)), path)


def _sheared(path):
    affine = np.eye(4)
    affine[0, 1] = 0.5
    image = Nifti1Image(np.random.default_rng(0).random((4, 4, 4), np.float32), affine)
    image.set_sform(affine, 1)
    nib.save(image, path)


def _forms_disagree(path):
    image = Nifti1Image(np.random.default_rng(0).random((4, 4, 4), np.float32), np.eye(4))
    image.set_sform(np.eye(4), 1)
    other = np.eye(4)
    other[2, 3] = 20
    image.set_qform(other, 1)
    nib.save(image, path)


def _text(path):
    path.write_text("not an image")


def _truncated(path):
    whole = path.with_name("whole.nii.gz")
    nib.save(Nifti1Image(np.random.default_rng(0).random((16, 16, 16), np.float32), np.eye(4)), whole)
    path.write_bytes(whole.read_bytes()[:6000])


def _short(path):
    raw = Nifti1Image(np.random.default_rng(0).random((16, 16, 16), np.float32), np.eye(4)).to_bytes()
    path.write_bytes(gzip.compress(raw[:-2000]))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_four_dimensional, "3-D"),
        (_two_dimensional, "3-D"),
        (_with_nan, "1 NaN or infinite"),
        (_constant, "the one value 7"),
        (_complex, "complex64"),
        (_sheared, "right angles"),
        (_forms_disagree, "20 mm apart"),
        (_text, "could not be read"),
        (_truncated, "end early or are damaged"),
        (_short, "end early or are damaged"),
        (lambda path: None, "nothing there"),
        (lambda path: path.mkdir(), "a folder"),
    ],
)
def test_a_faulty_image_is_named_in_one_sentence(tmp_path, make, says):
    path = tmp_path / "faulty.nii.gz"
    make(path)
    with pytest.raises(UserError, match=says) as error:
        files.load_image(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [0.5, -1.0, 40000.0])
def test_values_that_are_no_labels_are_refused(tmp_path, value):
    data = np.zeros((3, 3, 3), np.float32)
    data[1, 1, 1] = value
    nib.save(Nifti1Image(data, np.eye(4)), tmp_path / "labels.nii")
    with pytest.raises(UserError, match="whole numbers"):
        files.load_labels(tmp_path / "labels.nii")


def test_a_failed_write_leaves_nothing(tmp_path):
    def fail(part):
        part.write_text("half")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        files.atomic(tmp_path / "table.csv", fail)
    assert os.listdir(tmp_path) == []


def test_a_failed_write_keeps_the_old_file(tmp_path):
    files.write_text(tmp_path / "a.txt", "old")
    with pytest.raises(UnicodeEncodeError):
        files.write_text(tmp_path / "a.txt", "\ud800")
    assert (tmp_path / "a.txt").read_text() == "old"


def test_json_is_sorted_and_rounded_and_has_no_nan(tmp_path):
    path = files.write_json(tmp_path / "a.json", {"b": np.float32(0.123456789), "a": float("nan"), 1: (np.int64(2),)})
    assert path.read_text() == '{\n  "1": [\n    2\n  ],\n  "a": null,\n  "b": 0.123457\n}\n'


def test_csv_is_rounded(tmp_path):
    path = files.write_csv(tmp_path / "a.csv", pd.DataFrame({"x": [1 / 3], "name": ["s"]}))
    assert path.read_text() == "x,name\n0.333333,s\n"


def test_same_grid_is_within_a_hundredth_of_a_millimetre():
    a = Nifti1Image(np.zeros((4, 4, 4)), np.eye(4))
    moved = np.eye(4)
    moved[0, 3] = 0.02
    assert files.same_grid(a, Nifti1Image(np.zeros((4, 4, 4)), np.eye(4)))
    assert not files.same_grid(a, Nifti1Image(np.zeros((4, 4, 4)), moved))
    assert not files.same_grid(a, Nifti1Image(np.zeros((4, 4, 5)), np.eye(4)))
