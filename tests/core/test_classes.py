import numpy as np
import pytest

from segsrgan_core.classes import Classes
from segsrgan_core.errors import UserError

LABELS = np.array([[[0, 2, 3, 4]]], np.uint8)
SIDES = np.array([[[0, 1, 2, 0]]], np.uint8)


def test_groups_are_tissues_and_hemispheres_and_one_class_is_one_map():
    np.testing.assert_array_equal(Classes(("cortex",)).one_hot(LABELS)[0, 0, :, 0], [0, 1, 0, 0])
    classes = Classes(("white", "cortex"), hemispheres=True)
    assert classes.groups == (3, 3)
    truth = classes.one_hot(LABELS, SIDES)
    np.testing.assert_array_equal(truth[0, 0, 1], [0, 0, 1, 0, 1, 0])
    np.testing.assert_array_equal(truth.sum(-1), 2)


@pytest.mark.parametrize("names", [("cortex",), ("cortex", "white", "csf")])
def test_the_truth_decodes_to_itself(names):
    classes = Classes(names, hemispheres=True)
    truth = classes.one_hot(LABELS, SIDES)
    np.testing.assert_array_equal(classes.decode(truth)[0], np.where(np.isin(LABELS, [2, 3][: len(names)]), LABELS, 0))
    inside, votes = classes.votes(truth)
    np.testing.assert_array_equal(inside, SIDES > 0)
    np.testing.assert_array_equal(votes, np.array([0, -1, 1])[SIDES])
    assert not classes.votes(np.zeros_like(truth))[0].any()  # where the network was not run
    assert classes.of(truth)["cortex"].sum() == 1


@pytest.mark.parametrize("names", [("cortex",), ("cortex", "white", "csf")])
def test_calibration_by_hand(names):
    classes, rng = Classes(names, hemispheres=True), np.random.default_rng(0)
    p = rng.dirichlet(np.ones(1 + len(names)), (9, 9, 9)).astype(np.float32)
    p[0] = np.eye(1 + len(names))[0]  # nothing but background
    given = np.concatenate([p[..., -classes.tissue_channels :], np.full((9, 9, 9, 3), 0.3, np.float32)], -1)
    found = given.copy()
    classes.calibrate(found, 2.0, {"cortex": 0.7})
    expected = np.sqrt(p * np.array([1, np.exp(0.7), 1, 1])[: 1 + len(names)])
    expected /= expected.sum(-1, keepdims=True)
    doubtful = p.min(-1) > 1e-3
    np.testing.assert_allclose(classes.of(found)["cortex"][doubtful], expected[doubtful, 1], rtol=1e-4)
    assert not classes.decode(found)[0][0].any()
    np.testing.assert_array_equal(found[0], given[0])
    np.testing.assert_array_equal(found[..., -3:], given[..., -3:])
    sharper = given.copy()
    classes.calibrate(sharper, 0.5, {})
    np.testing.assert_array_equal(classes.decode(sharper)[0], classes.decode(given)[0])


@pytest.mark.parametrize("names", [(), ("cortex", "cortex"), ("cortx",)])
def test_bad_names_are_refused(names):
    with pytest.raises(UserError, match="not different names"):
        Classes(names)
