"""Random damage to every file that is read: a sentence or a whole result, never another error.

FUZZ_EXAMPLES says how many of each; `make fuzz` asks for many.
"""

import os
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from segsrgan_core.checkpoints import load_state, save_state
from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.manifest import read_manifest
from segsrgan_study.files import load_image, load_labels
from segsrgan_study.params import read_params
from tests.faults.images import image
from tests.faults.labels import tissues

ROOT = Path(__file__).parents[2]
fuzzed = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def damages(longest: int):
    """Overwritten bytes, and where the file ends: (place, byte) pairs and a length."""
    return st.tuples(
        st.lists(st.tuples(st.integers(0, longest), st.integers(0, 255)), max_size=12), st.integers(0, 4 * longest)
    )


def damaged(content: bytes, damage) -> bytes:
    changes, length = damage
    content = bytearray(content)
    for place, byte in changes:
        content[place % len(content)] = byte
    return bytes(content[:length])


def read_or_refused(read: Callable[[Path], Any], path: Path) -> Any:
    """Return what is read, or None if it is refused by a sentence about the file; any other error goes on."""
    try:
        return read(path)
    except UserError as error:
        said = str(error)
    assert str(path) in said
    return None


def whole_manifest() -> bytes:
    """Return a manifest of a few rows."""
    return (ROOT / "data_manifests" / "fetal_atlas.csv").read_bytes()[:2000].rpartition(b"\n")[0]


@fuzzed
@given(damages(352), st.sampled_from(["nii", "nii.gz", "mgh"]))
def test_a_damaged_image_is_read_whole_or_refused(tmp_path, damage, suffix):
    path, whole = tmp_path / f"image.{suffix}", image()
    nib.save(nib.MGHImage(np.asarray(whole.dataobj), whole.affine) if suffix == "mgh" else whole, path)
    path.write_bytes(damaged(path.read_bytes(), (damage[0], 10**9 if damage[1] > 352 else damage[1])))
    if read := read_or_refused(load_image, path):
        assert np.isfinite(np.asarray(read.dataobj)).all()
        assert np.isfinite(read.affine).all()


@fuzzed
@given(damages(352))
def test_damaged_labels_are_read_whole_or_refused(tmp_path, damage):
    path = tmp_path / "labels.nii"
    nib.save(image(tissues()), path)
    path.write_bytes(damaged(path.read_bytes(), (damage[0], 10**9 if damage[1] > 352 else damage[1])))
    if read := read_or_refused(load_labels, path):
        assert np.asarray(read.dataobj).min() >= 0


@fuzzed
@given(damages(700) | st.binary(max_size=400))
@example(b'"')
def test_a_damaged_manifest_is_read_or_refused(tmp_path, damage):
    path = tmp_path / "mine.csv"
    path.write_bytes(damage if isinstance(damage, bytes) else damaged(whole_manifest(), damage))
    read = read_or_refused(read_manifest, path)
    assert read is None or len(read)


@fuzzed
@given(damages(3900) | st.binary(max_size=400))
def test_damaged_settings_are_read_or_refused(tmp_path, damage):
    path = tmp_path / "params.yaml"
    content = (ROOT / "params.yaml").read_bytes()
    path.write_bytes(damage if isinstance(damage, bytes) else damaged(content, damage))
    read = read_or_refused(read_params, path)
    assert read is None or read.seed >= 0


class Variable:
    """What `load_state` needs of a Keras variable."""

    def __init__(self):
        self.value = np.arange(6, dtype=np.float32).reshape(2, 3)

    def __array__(self, dtype=None, copy=None):
        return self.value

    def assign(self, value):
        self.value = value


def write_weights(path: Path) -> None:
    """Write the weights that `read_weights` expects."""
    save_state(path, {"generator": [Variable(), Variable()]}, {"step": 1})


def read_weights(path: Path) -> list[Variable]:
    """Read weights into two variables, which must not change where the file is refused."""
    variables = [Variable(), Variable()]
    try:
        load_state(path, {"generator": variables})
    except UserError:
        assert all(np.array_equal(v.value, Variable().value) for v in variables)
        raise
    assert all(np.isfinite(v.value).all() for v in variables)
    return variables


@fuzzed
@given(damages(900))
def test_damaged_weights_are_read_whole_or_refused(tmp_path, damage):
    path = tmp_path / "weights.npz"
    write_weights(path)
    path.write_bytes(damaged(path.read_bytes(), damage))
    read_or_refused(read_weights, path)


def test_weights_with_a_part_that_is_no_array_are_refused(tmp_path):
    """Found by fuzz_readers: numpy gives the bytes of such a part."""
    path = tmp_path / "weights.npz"
    write_weights(path)
    with zipfile.ZipFile(path) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    for name in parts:
        with zipfile.ZipFile(path, "w") as changed:
            for other, content in parts.items():
                changed.writestr(other, b"no array" if other == name else content)
        assert read_or_refused(read_weights, path) is None


@pytest.fixture(autouse=True)
def _little_memory():
    """No file of a few kilobytes may ask for more than 4 GB beside what is in use."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 4 * 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)
