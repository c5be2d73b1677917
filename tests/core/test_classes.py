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
    np.testing.assert_array_equal(classes.decode(truth), np.where(np.isin(LABELS, [2, 3][: len(names)]), LABELS, 0))
    inside, votes = classes.votes(truth)
    np.testing.assert_array_equal(inside, SIDES > 0)
    np.testing.assert_array_equal(votes, np.array([0, -1, 1])[SIDES])
    assert not classes.votes(np.zeros_like(truth))[0].any()  # where the network was not run
    assert classes.of(truth)["cortex"].sum() == 1


@pytest.mark.parametrize("names", [(), ("cortex", "cortex"), ("cortx",)])
def test_bad_names_are_refused(names):
    with pytest.raises(UserError, match="not different names"):
        Classes(names)
