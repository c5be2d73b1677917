import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from segsrgan_study.own_images.names import InputImage
from segsrgan_study.own_images.quality import outliers, plane_of, unlike_training
from segsrgan_study.weights import BY_PLANE, packaged
from tests.settings import model_card


@pytest.mark.parametrize(
    ("told", "distance_mm", "says"),
    [
        ('{"SliceThickness": 3, "SpacingBetweenSlices": 3.01, "EchoTime": 0.12}', 3.0, ""),
        ('{"SliceThickness": 2.7, "SpacingBetweenSlices": 0.3}', 3.0, ""),
        ('{"SliceThickness": "2.9"}', 3.3, ""),
        ('{"SliceThickness": 6}', 6.0, "trained on 2 to 4 mm"),
        ('{"SliceThickness": 4}', 2.0, "2 mm apart"),
        ('{"SliceThickness": 2}', 4.0, "apart"),
        ('{"SpacingBetweenSlices": 3.3}', 3.0, "3 mm apart by the header, and 3.3 mm by its JSON"),
        ('{"EchoTime": 120}', 3.0, "echo time of 1.2e+05 ms"),
        ('{"EchoTime": 0.015}', 3.0, "echo time of 15 ms"),
        ('{"SliceThickness": [3, 3]}', 3.0, "cannot be read"),
        ('\ufeff{"SliceThickness": 6}', 6.0, "trained on 2 to 4 mm"),
        (f'{{"EchoTime": 1{400 * "0"}}}', 3.0, "cannot be read"),
        ("{broken", 3.0, "cannot be read"),
        ("[1]", 3.0, "cannot be read"),
    ],
)
def test_what_the_json_beside_an_image_says_counts(told, distance_mm, says, tmp_path):
    image, card = tmp_path / "sub-01_T2w.nii.gz", model_card(thickness_mm=(2.0, 4.0))
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 8), np.float32), np.eye(4)), image)
    assert unlike_training(image, card, distance_mm) == []
    (tmp_path / "sub-01_T2w.json").write_text(told)
    assert [says in note for note in unlike_training(image, card, distance_mm)] == ([True] if says else [])


def test_an_image_in_the_space_of_a_template_is_told(tmp_path):
    image = nib.Nifti1Image(np.zeros((8, 8, 8), np.float32), np.eye(4))
    for codes, told in (((4, 0), True), ((0, 3), True), ((4, 1), False)):
        image.set_sform(np.eye(4), codes[0])
        image.set_qform(np.eye(4), codes[1])
        nib.save(image, tmp_path / "t2.nii")
        assert ["template" in note for note in unlike_training(tmp_path / "t2.nii", model_card(), 3.0)] == [True] * told


def test_the_one_that_is_far_from_several_others_is_named():
    # by hand: median 3, absolute deviations 2 1 0 1 97, their median 1
    table = pd.DataFrame({"snr": [1.0, 2.0, 3.0, 4.0, 100.0], "cortex_ml": [70.0, 71, 69, 72, np.nan]})
    assert outliers(table) == ["", "", "", "", f"snr (z {0.6745 * 97:+.1f})"]
    assert outliers(-table)[-1] == f"snr (z {-0.6745 * 97:+.1f})"
    for values in ([1.0, 1.1, 1.2, 90.0], [5.0] * 6 + [9.0], [np.nan] * 6):
        assert set(outliers(pd.DataFrame({"snr": values}))) == {""}


@pytest.mark.parametrize(
    ("spacing", "plane"),
    [((1, 1, 3), "axial"), ((1, 3, 1), "coronal"), ((3, 1, 1), "sagittal"), ((1, 1, 1.2), "axial"), (None, "axial")],
    ids=["axial", "coronal", "sagittal", "no plane", "no image"],
)
def test_the_plane_of_the_slices_chooses_the_weights(tmp_path, spacing, plane):
    file = tmp_path / "t2.nii"
    if spacing:
        nib.save(nib.Nifti1Image(np.zeros((8, 8, 8), np.float32), np.diag([*spacing, 1.0])), file)
    assert plane_of(InputImage(file, "sub-1", "t2.nii")) == plane
    assert set(BY_PLANE.values()) <= set(packaged())
