import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from segsrgan_core.errors import UserError
from segsrgan_study import scores as metrics

WHO = {"cohort": "embedded", "subject": "sub-01", "method": "segsrgan"}


def cube(start: tuple[int, int, int], edge: int = 3, shape: tuple[int, int, int] = (12, 12, 12)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(s, s + edge) for s in start)] = True
    return mask


@pytest.fixture
def image() -> np.ndarray:
    rng = np.random.default_rng(0)
    return ndimage.gaussian_filter(rng.random((20, 18, 16)), 1.5).astype(np.float32) + 0.1


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
    a, b = cube((2, 2, 2), edge=1), cube((2, 2, 4), edge=1)
    assert metrics.hd95_mm(a, b, (0.5, 0.5, 3)) == pytest.approx(6)
    assert metrics.average_surface_distance_mm(a, b, (0.5, 0.5, 3)) == pytest.approx(6)


def test_distances_weigh_the_voxels_of_both_surfaces():
    # a: one voxel; b: the same and one 2 mm away. a to b: 0; b to a: 0 and 2. Mean 2 / 3; 95th percentile of 0, 2: 1.9.
    a = cube((2, 2, 2), edge=1)
    b = a | cube((4, 2, 2), edge=1)
    assert metrics.average_surface_distance_mm(a, b, (1, 1, 1)) == pytest.approx(2 / 3)
    assert metrics.hd95_mm(a, b, (1, 1, 1)) == pytest.approx(1.9)


@pytest.mark.parametrize("seed", range(3))
def test_distances_against_brute_force(seed):
    rng = np.random.default_rng(seed)
    a, b = (ndimage.gaussian_filter(rng.random((12, 12, 12)), 1.2) > 0.5 for _ in range(2))
    spacing = np.array([0.5, 0.8, 3.0])

    def surface(mask):
        padded = np.pad(mask, 1)
        inner = np.all([np.roll(padded, step, axis) for axis in range(3) for step in (1, -1)], axis=0)
        return (np.argwhere(padded & ~inner) - 1) * spacing

    between = cdist(surface(a), surface(b))
    there, back = between.min(axis=1), between.min(axis=0)
    hausdorff = max(np.percentile(there, 95), np.percentile(back, 95))
    assert metrics.hd95_mm(a, b, spacing) == pytest.approx(hausdorff)
    expected = np.concatenate([there, back]).mean()
    assert metrics.average_surface_distance_mm(a, b, spacing) == pytest.approx(expected)
    assert metrics.hd95_mm(b, a, spacing) == metrics.hd95_mm(a, b, spacing)


def test_distances_of_an_empty_mask_are_undefined():
    empty = np.zeros((12, 12, 12))
    assert np.isnan(metrics.hd95_mm(empty, cube((2, 2, 2)), (1, 1, 1)))
    assert np.isnan(metrics.average_surface_distance_mm(empty, empty, (1, 1, 1)))


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
