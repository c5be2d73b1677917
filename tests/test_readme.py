import re

import nibabel as nib
import numpy as np

from tests.core.test_segmenter import head
from tests.settings import ROOT


def test_the_use_from_python_runs(save, tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    save(head(), tmp_path / "sub-01_T2w.nii.gz")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert np.asarray(nib.load(tmp_path / "labels.nii.gz").dataobj).any()
    assert "cortex" in capsys.readouterr().out
