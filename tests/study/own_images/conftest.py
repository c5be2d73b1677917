from dataclasses import asdict
from functools import lru_cache
from unittest.mock import Mock

import pytest

from segsrgan_core.atomic import write_json
from segsrgan_core.segmenter import Segmenter
from segsrgan_study.own_images import run as running
from segsrgan_study.own_images.bids import Job
from segsrgan_study.own_images.names import InputImage, entities_of_file, joined
from segsrgan_study.verdict import rule
from tests.core.test_segmenter import CARD, head, identity


@pytest.fixture
def network(monkeypatch):
    """The network that gives its input back, and counts how often it was asked."""
    counted = Mock(side_effect=identity)
    monkeypatch.setattr(rule, "DETAIL_MM", 9.0)  # the heads are smooth
    segmenter = Segmenter(CARD, counted)
    monkeypatch.setattr(running, "segmenter_of", lru_cache(lambda job: segmenter))
    return counted


@pytest.fixture
def job(tmp_path, network):
    """A job whose network needs no TensorFlow; its weights are a file of their own."""
    model = tmp_path / "tiny"
    write_json(model / "model.json", asdict(CARD))
    (model / "generator.npz").write_bytes(b"weights")
    return Job(model, tmp_path / "out", precision="float32")


@pytest.fixture
def cases(tmp_path, save):
    """Three images, a little different from each other."""
    paths = [save(head(offset=(i, -2.0, 1.5)), tmp_path / "in" / f"sub-0{i}_T2w.nii.gz") for i in range(3)]
    return [InputImage(path, joined(entities_of_file(path.name)), path.name) for path in paths]
