"""Every faulty model, given to `segsrgan segment`."""

import json
import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from segsrgan_core.networks.generators import build_generator
from segsrgan_core.segmenter import save_model
from tests.core.test_segmenter import ARGUMENTS, CARD
from tests.faults.fault import Fault, files_below, segsrgan, sentence_about
from tests.faults.images import image

WEIGHTS, CARDS = "generator.npz", "model.json"


class Bomb:
    """Leaves a file when it is unpickled."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.trace),)


def trace(folder: Path) -> Path:
    """Where code that was executed leaves its trace."""
    return folder / "code_was_executed"


def _cut(share: float) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        path = folder / WEIGHTS
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])

    return make


def _arrays(change: Callable[[dict[str, np.ndarray], Path], object]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        arrays = dict(np.load(folder / WEIGHTS))
        change(arrays, folder)
        np.savez(folder / WEIGHTS, **arrays)

    return make


def _with_nan(arrays: dict[str, np.ndarray], folder: Path) -> None:
    arrays["generator/0"][0, 0, 0, 0, 0] = np.nan


def _with_object(arrays: dict[str, np.ndarray], folder: Path) -> None:
    arrays["generator/0"] = np.array([Bomb(trace(folder))], dtype=object)


def _of_another_width(folder: Path) -> None:
    save_model(folder / "wide", build_generator(**{**ARGUMENTS, "k": 8}), CARD)
    (folder / "wide" / WEIGHTS).replace(folder / WEIGHTS)


def _card(**changes: Any) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        content = json.loads((folder / CARDS).read_text())
        (folder / CARDS).write_text(json.dumps({**content, **changes}))

    return make


def _network(**changes: Any) -> Callable[[Path], None]:
    return _card(generator={**ARGUMENTS, **changes})


def _zip_of_text(folder: Path) -> None:
    with zipfile.ZipFile(folder / WEIGHTS, "w") as archive:
        archive.writestr("meta.npy", "no array")


W = [
    ("no_folder", "a folder with model.json", lambda folder: (folder / CARDS).unlink()),
    ("card_cut", "not a model card", lambda folder: (folder / CARDS).write_text('{"generator": {')),
    ("card_a_list", "not a model card", lambda folder: (folder / CARDS).write_text("[1, 2]")),
    ("card_binary", "not a model card", lambda folder: (folder / CARDS).write_bytes(b"\xff\xfe\x00")),
    ("card_of_another_format", "format", _card(format=1)),
    ("card_with_an_unknown_key", "hidden", _card(hidden=1)),
    ("card_with_an_unknown_tissue", "'cortx'", _card(classes=["cortx"])),
    ("card_with_more_classes_than_channels", "n_classes=1", _card(classes=["cortex", "white"])),
    ("card_with_a_negative_voxel_size", "spacing_mm", _card(spacing_mm=-1)),
    ("card_with_a_voxel_size_of_nan", "spacing_mm", _card(spacing_mm=float("nan"))),
    ("card_with_an_odd_patch", "patch", _card(patch=17)),
    ("card_with_one_thickness", "thickness_mm", _card(thickness_mm=[3.0])),
    ("card_with_an_unknown_network", "generator", _network(name="resnet")),
    ("card_with_an_unknown_argument", "layers", _network(layers=3)),
    ("card_of_a_giant", "k: ", _network(k=10**6)),
    ("weights_missing", "the weights are missing", lambda folder: (folder / WEIGHTS).unlink()),
    ("weights_empty", "missing or damaged", _cut(0)),
    ("weights_cut_early", "missing or damaged", _cut(0.1)),
    ("weights_cut_late", "missing or damaged", _cut(0.98)),
    ("weights_text", "missing or damaged", lambda folder: (folder / WEIGHTS).write_text("junk")),
    ("weights_one_array", "missing or damaged", lambda folder: np.save((folder / WEIGHTS).open("wb"), np.ones(3))),
    ("weights_zip_of_text", "missing or damaged", _zip_of_text),
    ("weights_without_meta", "missing or damaged", _arrays(lambda arrays, _: arrays.pop("meta"))),
    ("weights_of_another_architecture", "another architecture", _of_another_width),
    ("weights_too_few", "another architecture", _arrays(lambda arrays, _: arrays.pop("generator/3"))),
    ("weights_of_whole_numbers", "another architecture",
     _arrays(lambda arrays, _: arrays.update({"generator/0": arrays["generator/0"].astype(int)}))),
    ("weights_with_nan", "NaN or infinity in 1 arrays", _arrays(_with_nan)),
    ("weights_with_code_in_an_array", "missing or damaged", _arrays(_with_object)),
    ("weights_that_are_code", "missing or damaged",
     lambda folder: (folder / WEIGHTS).write_bytes(pickle.dumps(Bomb(trace(folder))))),
]  # fmt: skip
WEIGHT_FAULTS = [Fault(name, make, says) for name, says, make in W]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    save_model(folder / "model", build_generator(**ARGUMENTS), CARD)
    nib.save(image(), folder / "head.nii")
    return folder


@pytest.mark.parametrize("fault", WEIGHT_FAULTS, ids=lambda fault: fault.name)
def test_a_faulty_model_is_one_sentence(fault, good, tmp_path):
    model, out = shutil.copytree(good / "model", tmp_path / "model"), tmp_path / "out"
    fault.make(model)
    command = ("segment", good / "head.nii", "--out", out, "--model", model, "--precision", "float32")
    code, said = segsrgan(*command)
    assert code == 2
    assert re.search(fault.says, sentence_about(str(model), said)), said
    assert not [name for name in files_below(out) if "sub-" in name or ".part-" in name]
    assert not trace(model).exists()


def test_code_would_leave_a_trace(tmp_path):
    """The negative control: unpickled, the same bytes do leave their trace."""
    pickle.loads(pickle.dumps(Bomb(trace(tmp_path))))
    assert trace(tmp_path).exists()
