from unittest.mock import Mock

import numpy as np
import pytest

from segsrgan_core.classes import Classes
from segsrgan_core.uncertainty import error_probability, views

CORTEX = Classes(("cortex",))
MANY = Classes(("csf", "cortex"), hemispheres=True)


def ramp(axis):
    """A network that knows where it is: its probability grows along one axis, whatever it sees."""
    line = np.linspace(0, 1, 8, dtype=np.float32).reshape([8 if i == axis else 1 for i in range(5)])
    return lambda x: np.concatenate([x[..., :1], np.broadcast_to(line, x[..., :1].shape)], axis=-1)


X = np.random.default_rng(0).random((2, 8, 8, 8, 1)).astype(np.float32)


def test_a_mirrored_view_is_brought_back():
    straight, mirrored = (view(X) for view in views([ramp(1)], ["x"], CORTEX))
    for y in (straight, mirrored):
        np.testing.assert_array_equal(y[..., 0], X[..., 0])  # the image, in its place
    np.testing.assert_array_equal(mirrored[..., 1:], straight[:, ::-1, ..., 1:])


def test_every_combination_of_flips_is_one_view_of_every_network():
    counted = Mock(side_effect=ramp(1))
    seen = views([counted, counted], ["x", "y"], CORTEX)
    assert len(seen) == 4
    for view in seen:
        view(X)
    assert counted.call_count == 8
    assert len({call.args[0].tobytes() for call in counted.call_args_list}) == 4


def test_left_and_right_change_places_in_the_mirror():
    def sides(x):  # background, csf, cortex, outside, left, right: left is what lies low
        left = np.broadcast_to((np.arange(8) < 4).astype(np.float32).reshape(1, 8, 1, 1, 1), x[..., :1].shape)
        others = (np.full_like(left, value) for value in (0.1, 0.2, 0.3, 0.4))
        return np.concatenate([x[..., :1], *others, left, 1 - left], axis=-1)

    _, mirrored = views([sides], ["x"], MANY)
    np.testing.assert_allclose(mirrored(X)[..., :7], sides(X), atol=1e-6)
    assert mirrored(X).shape[-1] == 7 + 1


def test_disagreement_is_measured_of_the_cortex_or_of_the_first_class():
    assert [one.main_channel for one in (CORTEX, MANY, Classes(("white", "csf"), True))] == [0, 2, 1]


def test_error_probability_is_what_the_label_lacks():
    labels, likely = Classes(("csf", "cortex")).most_likely([np.float32([0.1, 0.7, 0.0]), np.float32([0.6, 0.1, 0.3])])
    np.testing.assert_array_equal(labels, [2, 1, 0])
    np.testing.assert_allclose(error_probability(likely, np.inf), [0.4, 0.3, 0.3], rtol=1e-6)


def test_the_map_is_smooth_and_keeps_its_sum():
    p = np.random.default_rng(0).random((20, 20, 20), np.float32)
    sharp, smooth = (error_probability(p, mm) for mm in (np.inf, 0.8))
    assert smooth.sum() == pytest.approx(sharp.sum(), rel=1e-4)
    assert smooth.std() < 0.6 * sharp.std()
