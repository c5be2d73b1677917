import json
import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segsrgan_core.networks.generators import build_generator
from segsrgan_core.segmenter import save_model
from tests.core.test_segmenter import ARGUMENTS, CARD
from tests.faults.fault import each, fault, files_below, segsrgan, sentence_about
from tests.faults.images import saved

WEIGHTS, CARDS = "generator.npz", "model.json"
TRACE = "code_was_executed"


class Bomb:
    """Leaves a file when it is unpickled."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.trace),)


def _cut(folder: Path, share: float) -> None:
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def _array(folder: Path, name: str, change: Callable[[np.ndarray], np.ndarray] | None = None) -> None:
    """Change one array, or remove it."""
    arrays = dict(np.load(folder / WEIGHTS))
    array = arrays.pop(name)
    np.savez(folder / WEIGHTS, **arrays, **({name: change(array)} if change else {}))


def _with_text(folder: Path, part: str) -> None:
    """Replace one array of the archive."""
    with zipfile.ZipFile(folder / WEIGHTS) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    assert part in parts
    with zipfile.ZipFile(folder / WEIGHTS, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, b"no array" if name == part else content)


def _of_another_width(folder: Path) -> None:
    save_model(folder / "wide", build_generator(**{**ARGUMENTS, "k": 8}), CARD)
    (folder / "wide" / WEIGHTS).replace(folder / WEIGHTS)


def _card(folder: Path, **changes: Any) -> None:
    (folder / CARDS).write_text(json.dumps({**json.loads((folder / CARDS).read_text()), **changes}))


# Each gets the folder of a model.
MODELS = [
    fault("no_folder", "a folder with model.json", lambda folder: (folder / CARDS).unlink()),
    fault("card_cut", "not a model card", lambda folder: (folder / CARDS).write_text('{"generator": {')),
    fault("card_a_list", "not a model card", lambda folder: (folder / CARDS).write_text("[1, 2]")),
    fault("card_binary", "not a model card", lambda folder: (folder / CARDS).write_bytes(b"\xff\xfe\x00")),
    fault("card_of_another_format", "format", partial(_card, format=1)),
    fault("card_with_an_unknown_key", "hidden", partial(_card, hidden=1)),
    fault("card_with_an_unknown_tissue", "'cortx'", partial(_card, classes=["cortx"])),
    fault("card_with_more_classes_than_channels", "n_classes=1", partial(_card, classes=["cortex", "white"])),
    fault("card_with_a_negative_voxel_size", "spacing_mm", partial(_card, spacing_mm=-1)),
    fault("card_with_a_voxel_size_of_nan", "spacing_mm", partial(_card, spacing_mm=float("nan"))),
    fault("card_with_an_odd_patch", "patch", partial(_card, patch=17)),
    fault("card_with_one_thickness", "thickness_mm", partial(_card, thickness_mm=[3.0])),
    fault("card_with_an_unknown_network", "generator", partial(_card, generator={**ARGUMENTS, "name": "resnet"})),
    fault("card_with_an_unknown_argument", "layers", partial(_card, generator={**ARGUMENTS, "layers": 3})),
    fault("card_of_a_giant", "k: ", partial(_card, generator={**ARGUMENTS, "k": 10**6})),
    fault("weights_missing", "the weights are missing", lambda folder: (folder / WEIGHTS).unlink()),
    *(fault(f"weights_cut_at_{share}", "missing or damaged", _cut, share) for share in (0, 0.1, 0.98)),
    fault("weights_text", "missing or damaged", lambda folder: (folder / WEIGHTS).write_text("junk")),
    fault("weights_one_array", "missing or damaged", lambda folder: np.save((folder / WEIGHTS).open("wb"), np.ones(3))),
    fault("weights_with_meta_of_text", "missing or damaged", _with_text, "meta.npy"),
    fault("weights_with_a_part_of_text", "missing or damaged|another architecture", _with_text, "generator/0.npy"),
    fault("weights_without_meta", "missing or damaged", _array, "meta"),
    fault("weights_of_another_architecture", "another architecture", _of_another_width),
    fault("weights_too_few", "another architecture", _array, "generator/3"),
    fault("weights_of_whole_numbers", "another architecture", _array, "generator/0", lambda a: a.astype(int)),
    fault("weights_with_nan", "NaN or infinity in 1 arrays", _array, "generator/0", lambda a: a * np.nan),
    fault("weights_with_code_in_an_array", "missing or damaged",
          lambda folder: _array(folder, "generator/0", lambda a: np.array([Bomb(folder / TRACE)], dtype=object))),
    fault("weights_that_are_code", "missing or damaged",
          lambda folder: (folder / WEIGHTS).write_bytes(pickle.dumps(Bomb(folder / TRACE)))),
]  # fmt: skip


@each(MODELS)
def test_a_faulty_model_is_one_sentence(fault, model, tmp_path):
    faulty, head, out = shutil.copytree(model, tmp_path / "model"), tmp_path / "head.nii", tmp_path / "out"
    fault.make(faulty)
    saved(head)
    said = segsrgan("segment", head, "--out", out, "--model", faulty, "--precision", "float32", code=2)
    assert re.search(fault.says, sentence_about(str(faulty), said)), said
    assert not [name for name in files_below(out) if "sub-" in name or ".part-" in name]
    assert not (faulty / TRACE).exists()


def test_code_would_leave_a_trace(tmp_path):
    """The negative control: unpickled, the same bytes do leave their trace."""
    pickle.loads(pickle.dumps(Bomb(tmp_path / TRACE)))
    assert (tmp_path / TRACE).exists()
