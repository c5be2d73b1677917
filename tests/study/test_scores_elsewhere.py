"""The scores against other people's implementations: SimpleITK and scikit-image, on random and on edge cases."""

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.measure import label
from skimage.metrics import hausdorff_distance, peak_signal_noise_ratio, structural_similarity

from segsrgan_study import scores as metrics

SPACING_MM = (0.5, 0.8, 3.0)


def random_mask(seed: int, shape=(14, 12, 10)) -> np.ndarray:
    return ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 1.3) > 0.5


def one_voxel(place: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros((14, 12, 10), bool)
    mask[place] = True
    return mask


PAIRS = {
    "random": (random_mask(0), random_mask(1)),
    "random_sparse": (random_mask(2) & random_mask(3), random_mask(4) & random_mask(5)),
    "equal": (random_mask(6), random_mask(6)),
    "inside": (random_mask(7), ndimage.binary_erosion(random_mask(7))),
    "one_voxel_each": (one_voxel((2, 3, 4)), one_voxel((9, 8, 1))),
    "one_voxel_in_a_corner": (one_voxel((0, 0, 0)), one_voxel((13, 11, 9))),
    "one_voxel_and_many": (one_voxel((7, 6, 5)), random_mask(8)),
    "whole_field": (np.ones((14, 12, 10), bool), random_mask(9)),
}
pairs = pytest.mark.parametrize(("a", "b"), PAIRS.values(), ids=PAIRS)


def itk(mask: np.ndarray) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(np.pad(mask, 1).astype(np.uint8).T)
    image.SetSpacing(SPACING_MM)
    return image


@pairs
def test_overlap_and_volume_are_simpleitks(a, b):
    measure = SimpleITK.LabelOverlapMeasuresImageFilter()
    measure.Execute(itk(a), itk(b))
    assert metrics.dice(a, b) == pytest.approx(measure.GetDiceCoefficient())
    # Here SimpleITK divides by the first image, which is the truth.
    assert metrics.volume_error(b, a) == pytest.approx((np.sum(a) - np.sum(b)) / np.sum(b))
    shape = SimpleITK.LabelShapeStatisticsImageFilter()
    shape.Execute(itk(b))
    rows = metrics.label_scores(a.astype(int), b.astype(int), SPACING_MM, {1: "cortex"}, {})
    scores = {row["metric"]: row["value"] for row in rows}
    assert scores["volume_ml"] == pytest.approx(shape.GetPhysicalSize(1) / 1000)


@pairs
def test_surface_distances_are_simpleitks(a, b):
    """The distance of each border voxel, from ITK's exact distance map of the other mask's contour."""
    contour = {name: SimpleITK.LabelContour(itk(mask)) for name, mask in (("a", a), ("b", b))}
    far = {name: SimpleITK.SignedMaurerDistanceMap(c, False, False, True) for name, c in contour.items()}

    def distances(of: str, to: str) -> np.ndarray:
        border = SimpleITK.GetArrayViewFromImage(contour[of]) > 0
        return np.maximum(SimpleITK.GetArrayViewFromImage(far[to])[border], 0)

    there, back = distances("a", "b"), distances("b", "a")
    ours = metrics.surface_distances_mm(a, b, SPACING_MM)
    for mine, theirs in zip(ours, (there, back), strict=True):
        np.testing.assert_allclose(np.sort(mine), np.sort(theirs), atol=1e-4)
    expected = max(np.percentile(there, 95), np.percentile(back, 95))
    assert metrics.hd95_mm(a, b, SPACING_MM) == pytest.approx(expected, abs=1e-4)
    mean = metrics.average_surface_distance_mm(a, b, SPACING_MM)
    assert mean == pytest.approx(np.concatenate([there, back]).mean(), abs=1e-4)


@pairs
def test_the_largest_distance_is_scikit_images(a, b):
    border = [mask & ~ndimage.binary_erosion(mask) for mask in (a, b)]
    ours = max(distances.max() for distances in metrics.surface_distances_mm(a, b, (1, 1, 1)))
    assert ours == pytest.approx(hausdorff_distance(*border))


@pytest.mark.parametrize("seed", range(4))
def test_components_are_scikit_images(seed):
    mask = np.random.default_rng(seed).random((9, 8, 7)) > 0.85
    assert metrics.n_components(mask) == label(mask, connectivity=3).max()


images = arrays(np.float32, (12, 11, 13), elements=st.floats(0, 1000, width=32))


@given(images, images)
@settings(max_examples=15, deadline=None)
def test_image_scores_are_scikit_images(truth, estimate):
    truth[0, 0, 0], truth[1, 1, 1] = 0, 1000
    theirs = peak_signal_noise_ratio(truth.astype(float), estimate.astype(float), data_range=1000)
    assert metrics.psnr(truth, estimate) == pytest.approx(theirs)
    assert metrics.psnr(7 * truth, 7 * estimate) == pytest.approx(theirs, rel=1e-5)
    options = {"data_range": 1000.0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    assert metrics.ssim(truth, estimate) == pytest.approx(structural_similarity(truth, estimate, **options), abs=1e-6)
