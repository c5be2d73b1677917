import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsrgan_core.inference import predict


def identity(x):
    return np.concatenate([x[..., :1], x[..., :1]], -1)


@given(st.tuples(*[st.integers(5, 40)] * 3), st.sampled_from([4, 8, 11, 16]))
@settings(max_examples=10, deadline=None)
def test_an_identity_network_gives_the_image_back_in_as_few_windows_as_the_step_allows(shape, step):
    image, there = np.random.default_rng(0).random((*shape, 1)).astype(np.float32), []
    output = predict([identity], image, 16, step, 2, walk=lambda corners: there.extend(corners) or corners)
    np.testing.assert_allclose(output[..., :1], image, atol=1e-5)
    assert len(there) == np.prod([1 + np.ceil((max(n, 16) - 16) / step) for n in shape])


def of_value(value):
    return lambda x: np.full((1, 16, 16, 16, 1), value, np.float32)


def test_networks_take_turns_along_every_axis():
    image = np.ones((32, 32, 32, 1), np.float32)
    output = predict([of_value(0.0), of_value(1.0)], image, 16, 16, 1)[::16, ::16, ::16, 0]
    np.testing.assert_array_equal(output, np.indices((2, 2, 2)).sum(axis=0) % 2)


def test_windows_are_blended_smoothly():
    line = predict([of_value(0.0), of_value(1.0)], np.ones((24, 16, 16, 1), np.float32), 16, 8, 1)[:, 8, 8, 0]
    np.testing.assert_allclose(line + line[::-1], 1, atol=1e-6)
    assert line[0] == 0
    assert np.all(np.diff(line) >= 0)
    assert np.diff(line).max() < 0.3


def test_networks_all_vote_where_windows_are_too_few():
    image = np.ones((24, 16, 16, 1), np.float32)  # two windows
    np.testing.assert_allclose(predict([of_value(value) for value in (0.0, 0.3, 0.9)], image, 16, 8, 1), 0.4, atol=1e-6)


def noisy_head(shape=(64, 48, 56), noise=0.03):
    """A bright ball that is not in the middle, in the noise of a magnitude image."""
    rng = np.random.default_rng(0)
    distance = np.linalg.norm(np.indices(shape) - np.reshape([40, 24, 20], (3, 1, 1, 1)), axis=0)
    signal = (distance < 14) * 0.8
    return np.hypot(signal + rng.normal(0, noise, shape), rng.normal(0, noise, shape)).astype(np.float32), distance


@pytest.mark.parametrize("spot", [False, True])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_windows_lie_on_the_head_and_neither_on_noise_nor_on_something_small_beside_it(noise, spot):
    image, distance = noisy_head((96, 48, 80), noise)
    image[:4, :4, 76:] = 0.8 * spot
    there = []
    output = predict([identity], image[..., None], 16, 16, 2, walk=lambda corners: there.extend(corners) or corners)
    assert len(there) <= 36  # of 90
    np.testing.assert_allclose(output[..., 0], image, atol=1e-6)
    near, far = distance < 18, distance > 50
    np.testing.assert_allclose(output[near, 1], image[near], atol=1e-6)
    assert np.all(output[far, 1] == 0)


def test_windows_between_two_parts_of_a_head_are_not_run():
    image = np.zeros((96, 16, 16), np.float32)
    image[:16], image[80:] = 0.8, 0.8
    seen = []
    predict([lambda x: seen.append(x) or identity(x)], image[..., None], 16, 16, 2)
    assert len(seen) == 4


@pytest.mark.parametrize("patch", [16, 48])  # smaller and larger than the head
def test_where_the_head_lies_in_its_field_of_view_changes_nothing(patch):
    image, _ = noisy_head(noise=0.0)

    def network(x):
        return np.concatenate([x, x - x.mean()], -1)

    wide = np.pad(image, ((8, 12), (4, 0), (0, 40)))
    small, large = (predict([network], one[..., None], patch, 12, 2) for one in (image, wide))
    np.testing.assert_allclose(large[8:-12, 4:, :-40], small, atol=1e-6)


def test_an_image_of_nothing_is_left_as_it_is():
    image = np.full((20, 20, 20, 1), 0.0005, np.float32)
    output = predict([lambda x: pytest.fail("run")], image, 16, 16, 2)
    np.testing.assert_array_equal(output, np.concatenate([image, 0 * image], -1))
