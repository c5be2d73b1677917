"""What `pip install .` brings is small, and enough to segment images."""

import subprocess
import sys
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.core.test_segmenter import head

# Stands in for an environment without the extras: what they bring cannot be imported.
WITHOUT = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {missing}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
sys.argv = ["segsrgan", *{arguments}]
from segsrgan_study.cli import main
main()
"""


def closure(name: str, found: set[str]) -> set[str]:
    """Names of a distribution and of all that it needs here, without extras."""
    name = canonicalize_name(name)
    if name not in found:
        found.add(name)
        for requirement in map(Requirement, metadata.requires(name) or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                closure(requirement.name, found)
    return found


def test_what_segment_needs_is_small():
    found = closure("segsrgan-core", set()) - {"segsrgan-core"}
    files = [path.locate() for name in found for path in metadata.files(name)]
    assert sum(path.stat().st_size for path in files if path.is_file()) <= 600e6
    assert {"openvino", "nibabel", "scipy"} <= found
    assert not {"tensorflow", "keras", "dvc", "jupyterlab", "antspyx", "numba", "nilearn", "distributed"} & found


@pytest.fixture
def lean():
    """Function that runs a command where only the modules of the small installation are there."""
    needed = closure("segsrgan-core", set()) | {"pip", "setuptools"}
    known = metadata.packages_distributions()
    missing = {module for module, owners in known.items() if needed.isdisjoint(map(canonicalize_name, owners))}
    missing -= {"segsrgan_core", "segsrgan_study"}
    assert "tensorflow" in missing
    missing |= {"matplotlib"}  # it takes a second, and only the curve of growth needs it

    def run(*arguments: object) -> subprocess.CompletedProcess:
        code = WITHOUT.format(missing=missing, arguments=list(map(str, arguments)))
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    return run


def test_an_image_is_segmented_without_the_extras(lean, save, model, tmp_path):
    done = lean("segment", save(head(), tmp_path / "sub-01_T2w.nii.gz"), "--model", model, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "sub-01" in (tmp_path / "out" / "volumes.tsv").read_text()


def test_a_command_that_needs_an_extra_says_which(lean):
    done = lean("notebook", "01_simulate")
    assert done.returncode == 2
    assert "segsrgan-core[study]" in done.stderr
