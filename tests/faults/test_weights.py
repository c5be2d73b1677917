"""Every faulty model, given to `segsrgan segment`."""

import re
import shutil

import nibabel as nib
import pytest

from segsrgan_core.networks.generators import build_generator
from segsrgan_core.segmenter import save_model
from tests.core.test_segmenter import ARGUMENTS, CARD
from tests.faults.fault import files_below, segsrgan, sentence_about
from tests.faults.images import image
from tests.faults.weights import WEIGHT_FAULTS, trace


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
    import pickle

    from tests.faults.weights import Bomb

    pickle.loads(pickle.dumps(Bomb(trace(tmp_path))))
    assert trace(tmp_path).exists()
