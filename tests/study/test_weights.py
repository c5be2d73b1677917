from dataclasses import asdict

import numpy as np
import pytest

from segsrgan_core.atomic import write_json
from segsrgan_core.checkpoints import pack, read_state, save_state
from segsrgan_core.errors import UserError
from segsrgan_core.segmenter import load_segmenter, read_card
from segsrgan_study import weights
from segsrgan_study.weights import find_model
from tests.core.test_segmenter import CARD


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A package with two sets of weights, outside any study."""
    monkeypatch.setattr(weights, "FOLDER", tmp_path / "package")
    (tmp_path / "package").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(folder):
    write_json(folder / "model.json", asdict(CARD))
    return folder


def test_a_packaged_set_is_found_by_its_name_before_a_folder_of_that_name(place):
    second, first = put(place / "package" / "second"), put(place / "package" / "first")
    assert weights.packaged() == ["first", "second"]
    own = put(place / "own")
    put(place / "first")
    assert find_model(own) == own
    assert (find_model("first"), find_model("second")) == (first, second)
    assert find_model("./first/").resolve() == place / "first"


def test_a_name_or_folder_that_will_not_do_is_told_with_what_to_do(place):
    put(place / "package" / "coronal")
    with pytest.raises(UserError, match=r"packaged sets coronal.*did you mean 'coronal'"):
        find_model("cornal")
    (place / "empty").mkdir()
    with pytest.raises(UserError, match="empty"):
        find_model("empty")


@pytest.mark.parametrize("name", weights.packaged())
def test_packaged_weights_load_are_small_and_described(name):
    folder = weights.FOLDER / name
    assert load_segmenter(folder).card == read_card(folder)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 10e6
    assert "not a medical device" in (folder / "MODEL_CARD.md").read_text()


def test_packed_weights_are_half_as_large_and_nearly_the_same(tmp_path):
    rng, scales = np.random.default_rng(0), np.geomspace(1e-3, 1, 32, dtype=np.float32)
    weights = [rng.standard_normal((3, 3, 3, 16, 32), np.float32) * scales, np.zeros((4, 4), np.float32)]
    whole, packed = tmp_path / "whole.npz", tmp_path / "packed.npz"
    save_state(whole, {"generator": weights}, {})
    pack(whole, packed)
    assert packed.stat().st_size < 0.5 * whole.stat().st_size
    for i, weight in enumerate(weights):
        found = read_state(packed)[0][f"generator/{i}"]
        error = np.abs(found - weight).reshape(-1, weight.shape[-1]).max(0)
        assert found.dtype == np.float32
        assert np.all(error <= np.abs(weight).reshape(-1, weight.shape[-1]).max(0) / 4000)
