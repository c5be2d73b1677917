import numpy as np
import pytest
import SimpleITK
from scipy import ndimage

from segsrgan_core.errors import UserError
from segsrgan_study import scores as metrics
from tests.scored import cube, smooth_image

WHO = {"cohort": "embedded", "subject": "sub-01", "method": "segsrgan"}


@pytest.fixture
def image() -> np.ndarray:
    return smooth_image()


def test_ssim_against_its_formula(image):
    truth, other = image.astype(float), np.roll(image, 1, axis=0).astype(float)

    def mean(values):
        return ndimage.gaussian_filter(values, 1.5, truncate=3.5)

    a, b = mean(truth), mean(other)
    variance_a, variance_b = mean(truth**2) - a**2, mean(other**2) - b**2
    c1, c2 = (0.01 * np.ptp(truth)) ** 2, (0.03 * np.ptp(truth)) ** 2
    similarity = (2 * a * b + c1) * (2 * (mean(truth * other) - a * b) + c2)
    similarity /= (a**2 + b**2 + c1) * (variance_a + variance_b + c2)
    expected = similarity[5:-5, 5:-5, 5:-5].mean()
    assert metrics.ssim(truth, other) == pytest.approx(expected, abs=1e-4)
    assert metrics.ssim(truth, truth) == pytest.approx(1)


def test_ssim_refuses_a_constant_truth():
    with pytest.raises(UserError, match="varies"):
        metrics.ssim(np.ones((12, 12, 12)), np.zeros((12, 12, 12)))


def test_distances_by_hand():
    # One voxel against one voxel, two steps of 3 mm apart.
    distances = metrics.surface_distances_mm(cube((2, 2, 2), edge=1), cube((2, 2, 4), edge=1), (0.5, 0.5, 3))
    assert metrics.hd95_mm(*distances) == metrics.mean_distance_mm(*distances) == pytest.approx(6)


def test_distances_weigh_the_voxels_of_both_surfaces():
    # a: one voxel; b: the same and one 2 mm away. a to b: 0; b to a: 0 and 2. Mean 2 / 3; 95th percentile of 0, 2: 1.9.
    a = cube((2, 2, 2), edge=1)
    distances = metrics.surface_distances_mm(a, a | cube((4, 2, 2), edge=1), (1, 1, 1))
    assert metrics.mean_distance_mm(*distances) == pytest.approx(2 / 3)
    assert metrics.hd95_mm(*distances) == pytest.approx(1.9)


def test_distances_of_an_empty_mask_are_undefined():
    distances = metrics.surface_distances_mm(np.zeros((12, 12, 12)), cube((2, 2, 2)), (1, 1, 1))
    assert np.isnan([metrics.hd95_mm(*distances), metrics.mean_distance_mm(*distances)]).all()


def test_volume_error_is_signed():
    assert metrics.volume_error(cube((2, 2, 2)), cube((2, 2, 2), edge=2)) == pytest.approx((8 - 27) / 27)
    assert np.isnan(metrics.volume_error(np.zeros((3, 3, 3)), np.ones((3, 3, 3))))


def test_components_that_touch_at_a_corner_are_one():
    mask = cube((2, 2, 2)) | cube((5, 5, 5))
    assert metrics.n_components(mask) == 1
    assert metrics.n_components(mask | cube((9, 0, 0))) == 2
    assert metrics.n_components(np.zeros((3, 3, 3))) == 0


def test_different_shapes_are_refused():
    with pytest.raises(UserError, match=r"\(12, 12, 12\) and \(3, 3, 3\) differ"):
        metrics.dice(cube((2, 2, 2)), np.zeros((3, 3, 3)))


def test_rows_of_the_long_table(image):
    truth = 2 * cube((2, 2, 2)).astype(int) + 5 * cube((7, 7, 7)).astype(int)
    labels = 2 * cube((2, 2, 3)).astype(int)
    names = {2: "cortex", 5: "ventricles", 9: "hippocampi_amygdala"}
    rows = metrics.image_scores(image, image * 0.9, WHO)
    scores = {"psnr": metrics.psnr(image, image * 0.9), "ssim": metrics.ssim(image, image * 0.9)}
    assert rows == [{**WHO, "structure": "image", "metric": name, "value": value} for name, value in scores.items()]
    rows += metrics.label_scores(truth, labels, (1, 1, 2), names, WHO)
    table = metrics.score_table(rows)
    assert list(table.columns) == ["cohort", "subject", "method", "structure", "metric", "value"]
    assert set(table["structure"]) == {"image", "cortex", "ventricles"}  # a structure that is nowhere gives no row
    assert table.index.tolist() == list(range(len(table)))
    cortex = table[table["structure"] == "cortex"].set_index("metric")["value"]
    kinds = {"dice", "hd95_mm", "asd_mm", "volume_ml", "volume_true_ml", "volume_error", "n_components"}
    assert set(cortex.index) == kinds
    assert cortex["dice"] == pytest.approx(2 / 3)
    assert cortex["volume_ml"] == pytest.approx(27 * 2 / 1000)
    assert cortex["volume_error"] == 0
    assert cortex["n_components"] == 1
    ventricles = table[table["structure"] == "ventricles"].set_index("metric")["value"]
    assert ventricles["dice"] == 0
    assert np.isnan(ventricles["hd95_mm"])
    assert ventricles["volume_true_ml"] == pytest.approx(27 * 2 / 1000)


# The scores against those of SimpleITK, on random and on edge cases.
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
