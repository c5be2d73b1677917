"""Random damage to every kind of input file: it is read whole or refused in a sentence, without another error.

FUZZ_EXAMPLES sets the number of examples per kind; `make fuzz` asks for many.
"""

import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segsrgan_core.checkpoints import load_state, pack, save_state
from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.manifest import read_manifest
from segsrgan_study.files import load_image, load_labels
from segsrgan_study.params import read_params
from tests.faults.images import saved, tissues
from tests.settings import PARAMS, ROOT


def variables() -> dict[str, list[keras.Variable]]:
    return {"generator": [keras.Variable(np.arange(6, dtype=np.float32).reshape(2, 3)) for _ in range(2)]}


def read_weights(path: Path) -> np.ndarray:
    """Read weights into two variables, which stay as they are where the file is refused."""
    found = variables()
    try:
        load_state(path, found)
    except UserError:
        assert all(np.array_equal(v, variables()["generator"][0]) for v in found["generator"])
        raise
    return np.stack(found["generator"])


def values(read: Callable[[Path], nib.Nifti1Image]) -> Callable[[Path], np.ndarray]:
    return lambda path: np.append(np.asarray(read(path).dataobj), read(path).affine)


MANIFEST = (ROOT / "data_manifests" / "fetal_atlas.csv").read_bytes()[:2000].rpartition(b"\n")[0]
# File name: what writes a whole file, what reads it.
READERS: dict[str, tuple[Callable[[Path], Any], Callable[[Path], Any]]] = {
    **dict.fromkeys(("image.nii", "image.nii.gz", "image.mgh"), (saved, values(load_image))),
    "labels.nii": (lambda path: saved(path, tissues()), values(load_labels)),
    "mine.csv": (lambda path: path.write_bytes(MANIFEST), read_manifest),
    "params.yaml": (lambda path: shutil.copy(PARAMS, path), read_params),
    "weights.npz": (lambda path: save_state(path, variables(), {"step": 1}), read_weights),
    "packed.npz": (lambda path: (save_state(path, variables(), {"step": 1}), pack(path, path)), read_weights),
}
# Overwritten bytes as (place, value), and the length that is left: most files keep all of it.
DAMAGE = st.tuples(
    st.lists(st.tuples(st.integers(0, 4000) | st.integers(0, 352), st.integers(0, 255)), max_size=12),
    st.just(10**9) | st.integers(0, 4000),
)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
@settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(damage=DAMAGE)
def test_a_damaged_file_is_read_whole_or_refused(tmp_path, name, damage):
    (write, read), path = READERS[name], tmp_path / name
    write(path)
    content, (changes, length) = bytearray(path.read_bytes()), damage
    for place, byte in changes:
        content[place % len(content)] = byte
    path.write_bytes(content[:length])
    found, said = None, ""
    try:
        found = read(path)
    except UserError as error:
        said = str(error)
    assert found is not None or str(path) in said
    assert not isinstance(found, np.ndarray) or np.isfinite(found).all()


@pytest.fixture(autouse=True)
def _little_memory():
    """No file of a few kilobytes may ask for more than 4 GB beside what is in use."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 4 * 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)
