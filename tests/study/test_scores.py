import numpy as np
import pytest
import SimpleITK
from scipy import ndimage

from segsrgan_core.errors import UserError
from segsrgan_study import scores as metrics

WHO = {"cohort": "embedded", "subject": "sub-01", "method": "segsrgan"}


def cube(start: tuple[int, int, int], edge: int = 3, shape: tuple[int, int, int] = (12, 12, 12)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(s, s + edge) for s in start)] = True
    return mask


def smooth_image() -> np.ndarray:
    return ndimage.gaussian_filter(np.random.default_rng(0).random((20, 18, 16)), 1.5).astype(np.float32) + 0.1


def test_psnr_by_hand():
    # peak 4, mean square error (1 + 1 + 0 + 4) / 4 = 1.5: 10 log10(16 / 1.5)
    assert metrics.psnr(np.array([1, 2, 3, 4]), np.array([2, 1, 3, 2])) == pytest.approx(10.280287, abs=1e-6)
    assert metrics.psnr(np.ones(4), np.ones(4)) == float("inf")
    with pytest.raises(UserError, match="positive intensities"):
        metrics.psnr(np.zeros((2, 2)), np.ones((2, 2)))


def test_ssim_has_a_gaussian_window_of_11_voxels_and_refuses_a_constant_truth():
    image = smooth_image()
    assert metrics.ssim(image, image) == pytest.approx(1)
    assert metrics.ssim(image, np.roll(image, 1, axis=0)) == pytest.approx(0.87936, abs=1e-5)
    with pytest.raises(UserError, match="varies"):
        metrics.ssim(np.ones((12, 12, 12)), np.zeros((12, 12, 12)))


def test_distances_weigh_the_voxels_of_both_surfaces():
    # a: one voxel; b: the same and one 2 mm away. a to b: 0; b to a: 0 and 2. Mean 2 / 3; 95th percentile of 0, 2: 1.9.
    a = cube((2, 2, 2), edge=1)
    distances = metrics.surface_distances_mm(a, a | cube((4, 2, 2), edge=1), (1, 1, 1))
    assert metrics.mean_distance_mm(*distances) == pytest.approx(2 / 3)
    assert metrics.hd95_mm(*distances) == pytest.approx(1.9)


def test_overlap_distances_and_errors_of_empty_masks():
    empty, full = np.zeros((12, 12, 12)), np.ones((12, 12, 12))
    assert (metrics.dice(empty, empty), metrics.dice(empty, full)) == (1, 0)
    distances = metrics.surface_distances_mm(empty, cube((2, 2, 2)), (1, 1, 1))
    assert np.isnan([metrics.hd95_mm(*distances), metrics.mean_distance_mm(*distances)]).all()
    assert np.isnan(metrics.volume_error(empty, full))


def test_rows_of_the_long_table():
    image = smooth_image()
    truth = 2 * cube((2, 2, 2)).astype(int) + 5 * cube((7, 7, 7)).astype(int)
    names = {2: "cortex", 5: "ventricles", 9: "hippocampi_amygdala"}
    rows = metrics.image_scores(image, image * 0.9, WHO)
    scores = {"psnr": metrics.psnr(image, image * 0.9), "ssim": metrics.ssim(image, image * 0.9)}
    assert rows == [{**WHO, "structure": "image", "metric": name, "value": value} for name, value in scores.items()]
    rows += metrics.label_scores(truth, 2 * cube((2, 2, 3)).astype(int), (1, 1, 2), names, WHO)
    table = metrics.score_table(rows)
    assert list(table.columns) == ["cohort", "subject", "method", "structure", "metric", "value"]
    assert set(table["structure"]) == {"image", "cortex", "ventricles"}  # a structure that is nowhere gives no row
    assert table.index.tolist() == list(range(len(table)))
    cortex = table[table["structure"] == "cortex"].set_index("metric")["value"]
    kinds = {"dice", "hd95_mm", "asd_mm", "volume_ml", "volume_true_ml", "volume_error"}
    kinds |= {"n_components", "n_handles", "n_cavities", "hole_ratio", "euler", "euler_error"}
    assert set(cortex.index) == kinds
    assert cortex["dice"] == pytest.approx(2 / 3)
    assert cortex["volume_error"] == 0
    assert (cortex["n_components"], cortex["euler"], cortex["euler_error"]) == (1, 1, 0)
    ventricles = table[table["structure"] == "ventricles"].set_index("metric")["value"]
    assert ventricles["dice"] == 0
    assert np.isnan(ventricles["hd95_mm"])
    assert ventricles["volume_true_ml"] == pytest.approx(27 * 2 / 1000)


# The scores against those of SimpleITK, on random and on edge cases.
SPACING_MM, SHAPE = (0.5, 0.8, 3.0), (14, 12, 10)


def random_mask(seed: int) -> np.ndarray:
    return ndimage.gaussian_filter(np.random.default_rng(seed).random(SHAPE), 1.3) > 0.5


PAIRS = {
    "random": (random_mask(0), random_mask(1)),
    "equal": (random_mask(6), random_mask(6)),
    "inside": (random_mask(7), ndimage.binary_erosion(random_mask(7))),
    "one_voxel_in_a_corner": (cube((0, 0, 0), 1, SHAPE), cube((13, 11, 9), 1, SHAPE)),
    "whole_field": (np.ones(SHAPE, bool), random_mask(9)),
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
    assert {row["metric"]: row["value"] for row in rows}["volume_ml"] == pytest.approx(shape.GetPhysicalSize(1) / 1000)


@pairs
def test_surface_distances_are_simpleitks(a, b):
    """The distance of each border voxel, from ITK's exact distance map of the other mask's contour."""
    contour = {name: SimpleITK.LabelContour(itk(mask)) for name, mask in (("a", a), ("b", b))}
    far = {name: SimpleITK.SignedMaurerDistanceMap(c, False, False, True) for name, c in contour.items()}

    def distances(of: str, to: str) -> np.ndarray:
        border = SimpleITK.GetArrayViewFromImage(contour[of]) > 0
        return np.maximum(SimpleITK.GetArrayViewFromImage(far[to])[border], 0)

    there, back = distances("a", "b"), distances("b", "a")
    for mine, theirs in zip(metrics.surface_distances_mm(a, b, SPACING_MM), (there, back), strict=True):
        np.testing.assert_allclose(np.sort(mine), np.sort(theirs), atol=1e-4)
