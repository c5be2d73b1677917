import json
import shutil
import subprocess
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from segsrgan_core.segmenter import Segmenter
from segsrgan_study.own_images import run as running
from segsrgan_study.own_images.run import segment_all
from segsrgan_study.own_images.simulated import simulate_all
from tests.core.test_segmenter import CARD, identity
from tests.settings import simulation

VALIDATOR = shutil.which("bids-validator-deno")
pytestmark = pytest.mark.skipif(VALIDATOR is None, reason="bids-validator-deno is not installed")


def errors(folder):
    done = subprocess.run([VALIDATOR, str(folder), "--format", "json"], capture_output=True, text=True, check=False)
    return [issue for issue in json.loads(done.stdout)["issues"]["issues"] if issue["severity"] == "error"]


def test_derivatives_with_hemispheres_are_valid(cases, job, monkeypatch):
    card = replace(CARD, generator={**CARD.generator, "hemispheres": True})

    def sides(x):
        left = np.broadcast_to(np.arange(x.shape[1]).reshape(1, -1, 1, 1, 1) < 8, x.shape).astype(np.float32)
        return np.concatenate([identity(x), 0.5 * np.ones_like(left), left, 1 - left], axis=-1)

    segmenter = Segmenter(card, sides)
    monkeypatch.setattr(running, "segmenter_of", lru_cache(lambda job: segmenter))
    segment_all(cases, [], job)
    assert errors(job.out) == []
    assert len(list(job.out.rglob("*hemispheres_dseg.nii.gz"))) == 3
    rows = pd.read_csv(job.out / "volumes.tsv", sep="\t").query("case == 'sub-01'")
    both, left, right, _ = rows["volume_ml"]
    assert rows["tissue"].tolist() == ["cortex"] * 3 + ["intracranial"]
    assert rows["side"].tolist() == ["both", "left", "right", "both"]
    assert both == left + right > 0


def test_simulated_images_and_their_derivatives_are_valid_and_a_fault_is_seen(cases, job, tmp_path):
    simulate_all(cases[:1], tmp_path / "thick", simulation(slice_mm=4.0))
    segment_all(cases, [], job)
    assert errors(tmp_path / "thick") == errors(job.out) == []
    (job.out / "sub-00" / "anat" / "sub-00_desc-segsrgan_what.nii.gz").write_bytes(b"")
    assert "NOT_INCLUDED" in {issue["code"] for issue in errors(job.out)}
