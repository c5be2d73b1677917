import dataclasses

import numpy as np
import pytest

from segsrgan_core.networks.generators import build_generator
from segsrgan_core.segmenter import Segmenter, load_segmenter, save_model
from tests.core.imaging.test_geometry import oblique
from tests.core.test_simulation import blob
from tests.settings import model_card, thick_slices

CARD = model_card()
ARGUMENTS = CARD.generator


def identity(x):
    """A network that gives its input back, and as segmentation whatever is brighter than half."""
    return np.concatenate([x[..., :1], (x[..., :1] > 0.5).astype(np.float32)], -1)


SEGMENTER = Segmenter(CARD, identity)


def head(thickness=3.0, offset=(1.0, -2.0, 1.5)):
    return thick_slices(blob(oblique((1, 1, 1), "RAS", 0.2), (32, 36, 30), offset, 4.0), thickness)


def test_a_network_used_outside_its_training_says_so():
    assert SEGMENTER(head()).notes == []
    assert "5 mm thick" in SEGMENTER(head(thickness=5.0)).notes[0]
    assert "coronal" in SEGMENTER(thick_slices(blob(np.diag([1.0, 1, 1, 1]), (32, 36, 30)), 3.0, "coronal")).notes[0]
    coarse = thick_slices(blob(np.diag([1.2, 1.2, 1.2, 1]), (32, 36, 30)), 1.7, "coronal")  # of voxels of 1 mm
    assert "coronal" in SEGMENTER(coarse).notes[0]


def test_the_networks_of_a_model_survive_saving(tmp_path):
    models = [build_generator(**ARGUMENTS, seed=seed) for seed in (4, 5)]
    card = dataclasses.replace(CARD, networks=2)
    save_model(tmp_path, models[0], card, models[1:])
    loaded = load_segmenter(tmp_path)
    assert loaded.card == card
    x = np.random.default_rng(0).random((1, 16, 16, 16, 1), np.float32)
    for network, model in zip((loaded.network, *loaded.others), models, strict=True):
        np.testing.assert_allclose(network(x), model(x), atol=1e-5)


def test_several_networks_vote():
    low, high = (lambda x, p=p: np.full((*x.shape[:-1], 2), p, np.float32) for p in (0.2, 0.6))
    result = Segmenter(CARD, low, others=(high,))(head())
    np.testing.assert_allclose(np.asarray(result.probabilities["cortex"].dataobj), 0.4, atol=1e-5)
    np.testing.assert_allclose(np.asarray(result.uncertainty.dataobj), 0.4, atol=1e-5)
    assert result.disagreement_ml == pytest.approx(0.2 * result.uncertainty.dataobj.size / 1000, rel=1e-3)


def test_passes_disagree_where_windows_overlap():
    def sloping(x):  # windows disagree about it where they overlap
        slope = np.linspace(0, 1, x.shape[1], dtype=np.float32).reshape(1, -1, 1, 1, 1)
        return np.concatenate([x[..., :1], np.broadcast_to(slope, x[..., :1].shape)], -1)

    assert dataclasses.replace(SEGMENTER, network=sloping)(head()).disagreement_ml > 0


@pytest.mark.parametrize("skull", [True, False])
def test_there_is_no_brain_outside_the_skull(skull):
    classes = ("cortex", "background")
    card = dataclasses.replace(CARD, classes=classes, generator={**ARGUMENTS, "n_classes": 6, "hemispheres": True})

    def network(x):  # cortex in the bright blob and at the front of the field, background at the back
        inside = x[..., :1] > 0.5
        front = np.zeros_like(inside)
        front[:, -3:] = True
        back = np.flip(front, 1) & ~inside
        cortex = (inside | front) & ~back
        sides = inside[..., [0, 0]] / 2 * skull
        parts = [x[..., :1], ~cortex & ~back, cortex, back, 1 - sides.sum(-1, keepdims=True), sides]
        return np.concatenate([np.asarray(part, np.float32) for part in parts], -1)

    result = Segmenter(card, network)(head())
    labels, sides = np.asarray(result.labels.dataobj), np.asarray(result.sides.dataobj)
    outside = sides == 0
    assert sides.any() == skull
    assert (labels[~outside] == 2).all()
    assert (labels[outside] == 2).any() == (not skull)
    assert (labels[outside] == 4).any()
    assert (np.asarray(result.probabilities["cortex"].dataobj)[outside] > 0).any() == (not skull)
    volumes = result.volumes_ml
    if skull:
        assert volumes["left_cortex"] + volumes["right_cortex"] == pytest.approx(volumes["cortex"])


def test_saving_twice_gives_the_same_bytes(tmp_path):
    for name in "ab":
        save_model(tmp_path / name, build_generator(**ARGUMENTS, seed=4), CARD)
    assert (tmp_path / "a" / "generator.npz").read_bytes() == (tmp_path / "b" / "generator.npz").read_bytes()
