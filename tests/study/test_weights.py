from dataclasses import asdict

import pytest

from segsrgan_core.atomic import write_json
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
