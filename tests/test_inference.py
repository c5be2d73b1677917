import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsrgan_core.inference import blending_weights, predict, window_starts


def identity(x):
    return np.concatenate([x[..., :1], x[..., :1]], -1)


@given(st.integers(16, 200), st.integers(1, 16))
def test_windows_cover_the_axis_and_none_is_further_than_a_step(n, step):
    starts = window_starts(n, 16, step)
    assert starts[0] == 0
    assert starts[-1] == n - 16
    assert np.all(np.diff(starts) <= step + 1)
    assert np.all(np.diff(starts) > 0)


@given(st.tuples(*[st.integers(5, 40)] * 3), st.sampled_from([4, 8, 11, 16]))
@settings(max_examples=20, deadline=None)
def test_an_identity_network_gives_the_image_back(shape, step):
    image = np.random.default_rng(0).random((*shape, 1)).astype(np.float32)
    np.testing.assert_allclose(predict(identity, image, 16, step, 2)[..., :1], image, atol=1e-5)


def test_weights_fall_towards_the_faces():
    weights = blending_weights(16)
    assert weights.min() > 0
    assert weights[8, 8, 8] == weights.max()
    assert weights[0, 8, 8] < 0.02


def test_windows_are_blended_smoothly():
    calls = iter([0.0, 1.0])
    output = predict(lambda x: np.full((1, 16, 16, 16, 1), next(calls)), np.ones((24, 16, 16, 1), np.float32), 16, 8, 1)
    line = output[:, 8, 8, 0]
    assert line[0] == 0
    assert line[-1] == 1
    assert np.all(np.diff(line) >= 0)
    assert np.abs(np.diff(line)).max() < 0.3


def test_windows_without_signal_are_not_run():
    image = np.zeros((16, 16, 64, 1), np.float32)
    image[..., 50, 0] = 1
    seen = []
    predict(lambda x: seen.append(1) or identity(x), image, 16, 16, 2)
    assert len(seen) == 1


@pytest.mark.parametrize("step", [0, 17])
def test_a_step_that_leaves_gaps_is_refused(step):
    with pytest.raises(ValueError, match=f"step={step}"):
        predict(identity, np.ones((16, 16, 16, 1), np.float32), 16, step, 2)
