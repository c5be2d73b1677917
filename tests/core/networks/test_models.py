import keras
import numpy as np
import pytest
import tensorflow as tf

from segsrgan_core.networks.functions import choose_policy
from segsrgan_core.networks.generators import BODIES, build_generator

X = np.random.default_rng(0).random((1, 16, 16, 16, 1), np.float32)


@pytest.mark.parametrize(
    ("more", "weights"), [({}, 0), ({"n_classes": 10}, 9 * 7**3 * 16), ({"thickness_channel": True}, 7**3 * 16)]
)
def test_the_published_generator_has_its_number_of_parameters_and_more_channels_cost_their_own(more, weights):
    assert build_generator("residual", k=16, **more).count_params() == 1_483_664 + weights


@pytest.mark.parametrize("name", sorted(BODIES))
@pytest.mark.parametrize(("classes", "thickness"), [(1, False), (4, True)])
def test_a_generator_keeps_the_grid(name, classes, thickness):
    model = build_generator(name, k=4, n_classes=classes, thickness_channel=thickness, kernel=3)
    x = np.zeros((1, 32, 32, 32, 1 + thickness), np.float32)
    assert model(x).shape == (1, 32, 32, 32, 1 + classes)
    assert model(x[:, :16]).shape == (1, 16, 32, 32, 1 + classes)


@pytest.mark.parametrize("name", sorted(BODIES))
def test_a_new_generator_is_nearly_cubic_spline_interpolation(name):
    change = build_generator(name, k=4)(X)[..., 0] - X[..., 0]
    assert 0 < np.abs(change).mean() < 0.1 * X.std()


@pytest.mark.parametrize("name", sorted(BODIES))
def test_a_generator_can_be_cloned(name):
    model = build_generator(name, k=4, kernel=3)
    twin = keras.models.clone_model(model, recursive=True)
    twin.set_weights(model.get_weights())
    np.testing.assert_array_equal(twin(X), model(X))


def test_layers_start_differently_and_repeatably():
    models = [build_generator("residual", k=4, seed=seed) for seed in (0, 0, 1)]
    first, again, other = ([w.numpy() for w in model.trainable_variables] for model in models)
    blocks = [w for w in first if w.shape == (3, 3, 3, 16, 16)]
    assert len(blocks) == 12
    assert not np.array_equal(blocks[0], blocks[1])
    np.testing.assert_equal(again, first)
    assert not np.array_equal(first[0], other[0])


def test_bfloat16_is_close_to_float32():
    fast = build_generator("unet", k=8, kernel=3, seed=3, policy="mixed_bfloat16")
    assert fast(X).dtype == tf.float32
    np.testing.assert_allclose(fast(X), build_generator("unet", k=8, kernel=3, seed=3)(X), atol=0.02)


def test_a_named_precision_is_taken_and_auto_chooses_one():
    assert choose_policy("float32") == "float32"
    assert choose_policy("auto") in ("float32", "mixed_bfloat16")
