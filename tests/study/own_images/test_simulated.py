import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_study.files import load_image
from segsrgan_study.own_images.names import InputImage
from segsrgan_study.own_images.simulated import simulate_all
from tests.core.imaging.test_geometry import centre_mm
from tests.core.test_simulation import blob
from tests.settings import simulation, thick_slices


@pytest.fixture
def fine(tmp_path, save):
    image = blob(np.diag([1.0, 1, 1, 1]), (30, 32, 36), (1.0, -2.0, 1.5), 4.0)
    return InputImage(save(image, tmp_path / "fine.nii.gz"), "sub-fine_acq-a", "fine.nii.gz")


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_slices_are_thick_in_their_plane_and_stay_in_place(fine, tmp_path, plane):
    (path,) = simulate_all([fine], tmp_path / "o", simulation(slice_mm=2.5, plane=plane))
    assert path.name == f"sub-fine_acq-a{plane}2p5mm_T2w.nii.gz"
    thick = nib.load(path)
    axis = ("sagittal", "coronal", "axial").index(plane)
    np.testing.assert_allclose(nib.affines.voxel_sizes(thick.affine), np.where(np.arange(3) == axis, 2.5, 1.0))
    np.testing.assert_allclose(centre_mm(thick), centre_mm(nib.load(fine.file)), atol=0.01)
    facts = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    assert (facts["SliceThickness"], facts["SlicePlane"]) == (2.5, plane)


def test_contrast_is_an_exponent_before_the_slices(fine, tmp_path):
    (path,) = simulate_all([fine], tmp_path / "o", simulation(slice_mm=1.0, profile="box"), contrast=2.0)
    image = load_image(fine.file)
    array = np.asarray(image.dataobj)
    squared = Nifti1Image(array.max() * (array / array.max()) ** 2, image.affine)
    expected = np.asarray(thick_slices(squared, 1.0, profile="box").dataobj)
    np.testing.assert_allclose(nib.load(path).get_fdata(), np.clip(expected, 0, None), atol=1e-4)


def test_the_seed_decides_the_noise(fine, tmp_path):
    settings = simulation(noise=0.05)
    (a,), (b,), (c,) = (simulate_all([fine], tmp_path / n, settings, seed=s) for n, s in (("a", 1), ("b", 1), ("c", 2)))
    assert a.read_bytes() == b.read_bytes()
    assert a.read_bytes() != c.read_bytes()


def test_the_image_of_another_is_not_overwritten(fine, tmp_path, save):
    (path,) = simulate_all([fine], tmp_path / "o", simulation())
    before = path.read_bytes()
    other = save(blob(np.eye(4), (30, 32, 36), (0.0, 0.0, 0.0), 3.0), tmp_path / "b" / "fine.nii.gz")
    assert simulate_all([replace(fine, file=other)], tmp_path / "o", simulation()) == []
    assert path.read_bytes() == before
    assert simulate_all([fine], tmp_path / "o", simulation(), seed=1) == [path]


def test_what_cannot_be_read_leaves_nothing_and_does_not_stop_the_others(run, fine, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.nii").write_bytes(b"broken")
    run("simulate", tmp_path / "in", "--out", tmp_path / "o", code=2)
    said = run("simulate", fine.file, "--thickness", 0.5, "--out", tmp_path / "o", code=2)
    assert "0.5 mm is below the image's voxel size of 1 mm" in said
    assert not (tmp_path / "o").exists()
    assert "1 simulated, 1 failed" in run("simulate", tmp_path / "in", fine.file, "--out", tmp_path / "o", code=2)
