from dataclasses import replace

import numpy as np
import pytest

from segsrgan_core.classes import Classes
from segsrgan_core.errors import UserError
from segsrgan_core.networks.generators import build_generator
from segsrgan_core.segmenter import save_model
from segsrgan_study.steps.network.build import start_from
from tests.settings import model_card

WINDOW = np.random.default_rng(0).random((1, 16, 16, 16, 1)).astype(np.float32)


def generator(classes, k=4, seed=0):
    arguments = {**model_card().generator, "n_classes": classes.tissue_channels, "hemispheres": classes.hemispheres}
    return build_generator(**{**arguments, "k": k}, seed=seed), arguments


@pytest.fixture
def trained(tmp_path):
    """A network of cortex and hemispheres, and its folder."""
    model, arguments = generator(Classes(("cortex",), True))
    save_model(tmp_path, model, replace(model_card(), generator=arguments, classes=("cortex",)))
    return model, tmp_path


def test_a_training_with_the_same_classes_and_layers_begins_with_the_same_function(trained):
    model, folder = trained
    wider, _ = generator(Classes(("cortex",), True), k=8)
    with pytest.raises(UserError, match="other sizes"):
        start_from(wider, Classes(("cortex",), True), folder)
    other, _ = generator(Classes(("cortex",), True), seed=7)
    assert not np.allclose(model(WINDOW), other(WINDOW), atol=1e-3)
    start_from(other, Classes(("cortex",), True), folder)
    np.testing.assert_array_equal(model(WINDOW), other(WINDOW))


def test_with_more_classes_image_and_hemispheres_are_kept_and_the_cortex_has_its_channel(trained):
    model, folder = trained
    classes = Classes(("csf", "cortex"), True)
    other, _ = generator(classes, seed=7)
    fresh = np.asarray(other.trainable_variables[-1])
    start_from(other, classes, folder)
    before, after = np.asarray(model(WINDOW)), np.asarray(other(WINDOW))
    np.testing.assert_allclose(after[..., [0, 4, 5, 6]], before[..., [0, 2, 3, 4]], atol=1e-5)
    head = np.asarray(other.trainable_variables[-1])
    np.testing.assert_array_equal(head[..., 3], np.asarray(model.trainable_variables[-1])[..., 1])
    np.testing.assert_array_equal(head[..., [1, 2]], fresh[..., [1, 2]])
