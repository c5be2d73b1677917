"""Paths whose names follow the code."""

import shutil

import pytest

from segsrgan_study import paths
from segsrgan_study.paths import Study


@pytest.mark.parametrize("file", ["imaging/noise.py", "simulation.py"])
def test_phantoms_are_made_again_after_a_change_of_what_they_are_made_with(file, tmp_path, monkeypatch):
    for package in ("segsrgan_core", "segsrgan_study"):
        shutil.copytree(paths.CODE / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(paths, "CODE", tmp_path)
    before = Study(tmp_path).phantoms
    with (tmp_path / "segsrgan_core" / file).open("a") as source:
        source.write("# changed")
    assert Study(tmp_path).phantoms != before
