import re

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from tests.faults.fault import each, files_below, segsrgan, sentence_about
from tests.faults.images import IMAGES, image


@pytest.fixture(scope="module")
def run(tmp_path_factory, model):
    """What was said, the folder of the inputs and that of the outputs."""
    home = tmp_path_factory.mktemp("images")
    inputs, out = home / "in", home / "out"
    inputs.mkdir()
    for fault in IMAGES:
        fault.make(inputs / fault.name)
    for name in ("first", "last"):
        nib.save(image(), inputs / f"{name}.nii.gz")
    names = ["first.nii.gz", *(fault.name for fault in IMAGES), "last.nii.gz"]
    options = ("--out", out, "--model", model, "--precision", "float32")
    return segsrgan("segment", *(inputs / name for name in names), *options, code=2), inputs, out


@each(IMAGES)
def test_a_faulty_image_is_one_sentence(fault, run):
    said, inputs, _ = run
    sentence = sentence_about(f"{inputs / fault.name}:", said)
    assert re.search(fault.says, sentence), sentence


def test_the_rest_of_the_cohort_is_finished_and_nothing_is_half_written(run):
    said, inputs, out = run
    assert len([line for line in said.splitlines() if f"{inputs}/" in line and ": note: " not in line]) == len(IMAGES)
    assert pd.read_csv(out / "volumes.tsv", sep="\t")["image"].tolist() == ["first.nii.gz", "last.nii.gz"]
    images = [name for name in files_below(out) if name.endswith(".nii.gz")]
    assert {name.partition("/")[0] for name in images} == {"sub-first", "sub-last"}
    assert not [name for name in files_below(out) if ".part-" in name]
    for name in images:
        assert np.isfinite(nib.load(out / name).get_fdata()).all()
