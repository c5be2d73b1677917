import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from segsrgan_study.own_images.names import InputImage
from segsrgan_study.own_images.quality import outliers, plane_of, thick_slices
from segsrgan_study.weights import BY_PLANE, packaged
from tests.settings import model_card


@pytest.mark.parametrize(
    ("mm", "distance_mm", "says"),
    [(3.0, 3.0, ""), (2.9, 3.3, ""), (6.0, 6.0, "trained on 2 to 4 mm"), (4.0, 2.0, "2 mm apart"), (2.0, 4.0, "apart")],
)
def test_the_thickness_in_the_json_beside_an_image_counts(mm, distance_mm, says, tmp_path):
    image, card = tmp_path / "sub-01_T2w.nii.gz", model_card(thickness_mm=(2.0, 4.0))
    assert thick_slices(image, card, distance_mm) == []
    (tmp_path / "sub-01_T2w.json").write_text(f'{{"SliceThickness": {mm}}}')
    assert [says in note for note in thick_slices(image, card, distance_mm)] == ([True] if says else [])


def test_the_one_that_is_far_from_the_others_is_named():
    # by hand: median 3, absolute deviations 2 1 0 1 97, their median 1
    table = pd.DataFrame({"snr": [1.0, 2.0, 3.0, 4.0, 100.0], "cortex_ml": [70.0, 71, 69, 72, np.nan]})
    assert outliers(table) == ["", "", "", "", f"snr (z {0.6745 * 97:+.1f})"]
    assert outliers(-table)[-1] == f"snr (z {-0.6745 * 97:+.1f})"


def test_few_cases_or_equal_ones_have_no_outliers():
    for values in ([1.0, 1.1, 1.2, 90.0], [5.0] * 6 + [9.0], [np.nan] * 6):
        assert set(outliers(pd.DataFrame({"snr": values}))) == {""}


@pytest.mark.parametrize(
    ("spacing", "plane"),
    [((1, 1, 3), "axial"), ((1, 3, 1), "coronal"), ((3, 1, 1), "sagittal"), ((1, 1, 1.2), "axial")],
    ids=["axial", "coronal", "sagittal", "no plane"],
)
def test_the_plane_of_the_slices_chooses_the_weights(tmp_path, spacing, plane):
    file = tmp_path / "t2.nii"
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 8), np.float32), np.diag([*spacing, 1.0])), file)
    assert plane_of(InputImage(file, "sub-1", "t2.nii")) == plane
    assert set(BY_PLANE.values()) <= set(packaged())


def test_an_image_that_cannot_be_read_gets_the_first_weights(tmp_path):
    assert plane_of(InputImage(tmp_path / "no.nii", "sub-1", "no.nii")) == "axial"
