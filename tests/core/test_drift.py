import numpy as np
import pytest

from segsrgan_core.classes import Classes
from segsrgan_core.drift import Drift, bias_for, darkness

SHAPE = (16, 12, 12)
TISSUE = np.zeros(SHAPE, bool)
TISSUE[4:12, 2:10, 2:10] = True


def seen(ratio: float) -> np.ndarray:
    """An image whose tissue is `ratio` times as bright as all around it."""
    return np.where(TISSUE, ratio, 1).astype(np.float32)


def test_the_contrast_is_that_of_the_median_and_the_dark_part_of_the_shell():
    image = seen(0.5)
    image[:, 1, :] = 0.4  # within two voxels of the tissue, an eighth of them
    image[0] = 0.1  # farther away
    assert darkness(image, TISSUE) == pytest.approx(np.log(0.5 / 0.4), abs=1e-6)
    without = image.copy()
    without[:, 1, :] = 0.0  # the background of an image without skull
    sides = np.ones(SHAPE, np.uint8)
    sides[:, :2, :] = 0
    assert darkness(without, TISSUE, sides) == pytest.approx(np.log(0.5), abs=1e-6)
    assert np.isnan(darkness(image, np.zeros(SHAPE, bool)))
    assert np.isnan(darkness(image, np.ones(SHAPE, bool)))
    assert np.isnan(darkness(-image, TISSUE))


def test_a_bias_gives_the_volume_and_none_where_it_cannot():
    log_p = np.log(np.random.default_rng(0).dirichlet([1, 1, 1], 500)).astype(np.float32)
    for volume in (1, 50, 499):
        moved = log_p + np.array([0, 0, bias_for(log_p, 2, volume)])
        assert np.count_nonzero(moved.argmax(1) == 2) == volume
    assert np.isnan(bias_for(log_p, 2, 0))
    assert np.isnan(bias_for(log_p, 2, 500))


@pytest.mark.parametrize("names", [("cortex",), ("white", "cortex")])
@pytest.mark.parametrize(("ratio", "factor"), [(0.5, 1.0), (0.4, 0.8**0.3), (0.6, 1.2**0.3), (0.1, 0.7**0.3)])
def test_the_volume_becomes_that_of_the_usual_contrast(names, ratio, factor):
    classes, rng = Classes(names), np.random.default_rng(1)
    p = np.where(TISSUE, rng.uniform(0.51, 0.99, SHAPE), rng.uniform(0, 0.49, SHAPE)).astype(np.float32)
    probabilities = np.stack([*([1 - p, 0 * p] if len(names) > 1 else []), p], -1)
    Drift(slope=-0.3, usual=np.log(0.5), low=np.log(0.35), high=0.0).remove(classes, probabilities, seen(ratio))
    assert np.count_nonzero(classes.decode(probabilities)[0] == 2) == round(TISSUE.sum() * factor)


def test_without_a_contrast_nothing_changes():
    probabilities = TISSUE[..., None].astype(np.float32)
    before = probabilities.copy()
    Drift(-0.3, 0.0, -1.0, 1.0).remove(Classes(("cortex",)), probabilities, -seen(0.5))
    np.testing.assert_array_equal(probabilities, before)
