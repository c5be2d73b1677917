"""Every faulty params.yaml, as the first command of the study reads it."""

import re
from pathlib import Path

import pytest

from tests.faults.fault import files_below, segsrgan, sentence_about
from tests.faults.parameters import PARAMETERS

GOOD = Path(__file__).parents[2].joinpath("params.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("fault", PARAMETERS, ids=lambda fault: fault.name)
def test_a_faulty_setting_is_one_sentence(fault, tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_bytes(fault.make(GOOD))
    (tmp_path / "dvc.yaml").touch()
    monkeypatch.chdir(tmp_path)
    code, said = segsrgan("phantoms")
    assert code == 2
    sentence = sentence_about("phantoms:" if "<= simulation.slice_mm" in said else "params.yaml: ", said)
    assert re.search(fault.says, sentence), sentence
    assert files_below(tmp_path) == ["dvc.yaml", "params.yaml"]
