from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.segmenter import Segmentation
from segsrgan_study.own_images.quality import doubts, noise_sd, outliers, quality, thick_slices
from tests.settings import model_card


def segmentation(image, labels):
    return Segmentation(image, image, labels, probabilities={"cortex": image}, volumes_ml={"cortex": 1.0})


def ball(noise=0.0, cortex=40.0, shell=120.0):
    """A ball of shell's grey with a core of cortex's grey in it, thick slices along z."""
    grid = np.stack(np.indices((40, 40, 20)), -1) - [20, 20, 10]
    radius = np.linalg.norm(grid, axis=-1)
    labels = np.where(radius < 5, 2, 0).astype(np.uint8)
    array = np.select([radius < 5, radius < 18], [cortex, shell], 0.0)
    array = array + noise * np.random.default_rng(0).standard_normal(array.shape)
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    return Nifti1Image(array.astype(np.float32), affine), Nifti1Image(labels, affine)


@pytest.mark.parametrize("sd", [1.0, 5.0])
def test_noise_is_found_in_spite_of_anatomy(sd):
    smooth = np.fromfunction(lambda i, j, k: 100 + 0.05 * (i - 20) ** 2 + 2 * j + 30 * (k % 2), (40, 40, 20))
    array = (smooth + sd * np.random.default_rng(1).standard_normal(smooth.shape)).astype(np.float32)
    inside = np.zeros(array.shape, bool)
    inside[2:-2, 2:-2] = True
    assert noise_sd(array, inside, slice_axis=2) == pytest.approx(sd, rel=0.05)


def test_snr_falls_with_noise_and_contrast_is_that_of_the_edge():
    image, labels = ball(noise=2.0)
    scores = quality(image, segmentation(image, labels))
    assert scores["snr"] == pytest.approx(120 / 2, rel=0.2)  # edges count as a little noise
    assert scores["contrast"] == pytest.approx((120 - 40) / (120 + 40), abs=0.02)
    noisy, _ = ball(noise=6.0)
    assert quality(noisy, segmentation(noisy, labels))["snr"] < 0.5 * scores["snr"]
    silent, _ = ball()
    assert np.isnan(quality(silent, segmentation(silent, labels))["snr"])


def test_tissue_in_the_air_and_none_at_all_are_doubted():
    image, labels = ball(noise=1.0)
    assert doubts(image, segmentation(image, labels)) == []
    wrong = np.asarray(labels.dataobj).copy()
    wrong[1:8, 1:8, 1:-1] = 2
    share = round(100 * (7 * 7 * 18) / (wrong > 0).sum())
    (note,) = doubts(image, segmentation(image, Nifti1Image(wrong, labels.affine)))
    assert note.startswith(f"{share} % of what was segmented lies in the dark background")
    nothing = replace(segmentation(image, Nifti1Image(np.zeros_like(wrong), labels.affine)), volumes_ml={"cortex": 0.0})
    assert doubts(image, nothing) == ["no cortex was found"]


def test_what_cannot_be_right_is_doubted():
    image, labels = ball(noise=1.0)
    cut = replace(segmentation(image, labels), sides=Nifti1Image(np.ones(image.shape, np.uint8), image.affine))
    assert ["edge of the field" in note for note in doubts(image, cut)] == [True]
    huge = replace(segmentation(image, labels), volumes_ml={"cortex": 1.0, "intracranial": 1300.0})
    assert ["1300 mL" in note for note in doubts(image, huge)] == [True]
    normalised = Nifti1Image(np.asarray(image.dataobj) - 50, image.affine)
    assert ["negative" in note for note in doubts(normalised, segmentation(image, labels))] == [True]


def test_the_thickness_in_the_json_beside_an_image_counts(tmp_path):
    image = tmp_path / "sub-01_T2w.nii.gz"
    assert thick_slices(image, model_card()) == []
    for mm, doubted in ((3.0, False), (6.0, True)):
        (tmp_path / "sub-01_T2w.json").write_text(f'{{"SliceThickness": {mm}}}')
        assert ["6 mm thick" in note for note in thick_slices(image, model_card())] == [True] * doubted


def test_the_one_that_is_far_from_the_others_is_named():
    # by hand: median 3, absolute deviations 2 1 0 1 97, their median 1
    table = pd.DataFrame({"snr": [1.0, 2.0, 3.0, 4.0, 100.0], "cortex_ml": [70.0, 71, 69, 72, np.nan]})
    assert outliers(table) == ["", "", "", "", f"snr (z {0.6745 * 97:+.1f})"]
    assert outliers(-table)[-1] == f"snr (z {-0.6745 * 97:+.1f})"


def test_few_cases_or_equal_ones_have_no_outliers():
    for values in ([1.0, 1.1, 1.2, 90.0], [5.0] * 6 + [9.0], [np.nan] * 6):
        assert set(outliers(pd.DataFrame({"snr": values}))) == {""}
