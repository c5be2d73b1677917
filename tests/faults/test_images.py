"""Every faulty image in one run of `segsrgan segment`, among images that are not faulty."""

import re
from typing import NamedTuple

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from segsrgan_core.networks.generators import build_generator
from segsrgan_core.segmenter import save_model
from tests.core.test_segmenter import ARGUMENTS, CARD
from tests.faults.fault import files_below, segsrgan, sentence_about
from tests.faults.images import IMAGES, image


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    class Run(NamedTuple):
        code: int
        said: str
        inputs: object
        out: object

    home = tmp_path_factory.mktemp("images")
    inputs, out = home / "in", home / "out"
    inputs.mkdir()
    save_model(home / "model", build_generator(**ARGUMENTS), CARD)
    for fault in IMAGES:
        fault.make(inputs / fault.name)
    for name in ("first", "last"):
        nib.save(image(), inputs / f"{name}.nii.gz")
    names = ["first.nii.gz", *(fault.name for fault in IMAGES), "last.nii.gz"]
    options = ("--out", out, "--model", home / "model", "--precision", "float32")
    code, said = segsrgan("segment", *(inputs / name for name in names), *options)
    return Run(code, said, inputs, out)


@pytest.mark.parametrize("fault", IMAGES, ids=lambda fault: fault.name)
def test_a_faulty_image_is_one_sentence(fault, run):
    sentence = sentence_about(f"{run.inputs / fault.name}:", run.said)
    assert re.search(fault.says, sentence), sentence


def test_nothing_else_is_said(run):
    about_images = [line for line in run.said.splitlines() if f"{run.inputs}/" in line and ": note: " not in line]
    assert len(about_images) == len(IMAGES)


def test_the_rest_of_the_cohort_is_finished_and_nothing_is_half_written(run):
    assert run.code == 2
    assert pd.read_csv(run.out / "volumes.tsv", sep="\t")["image"].tolist() == ["first.nii.gz", "last.nii.gz"]
    images = [name for name in files_below(run.out) if name.endswith(".nii.gz")]
    assert {name.partition("/")[0] for name in images} == {"sub-first", "sub-last"}
    assert not [name for name in files_below(run.out) if ".part-" in name]
    for name in images:
        assert np.isfinite(nib.load(run.out / name).get_fdata()).all()
