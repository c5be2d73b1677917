import json
import shutil
import subprocess

import pytest

from segsrgan_core.derivatives.run import segment_all
from segsrgan_core.derivatives.simulated import simulate_all
from segsrgan_core.params import SimulationSettings

VALIDATOR = shutil.which("bids-validator-deno")
pytestmark = pytest.mark.skipif(VALIDATOR is None, reason="bids-validator-deno is not installed")


def errors(folder):
    done = subprocess.run([VALIDATOR, str(folder), "--format", "json"], capture_output=True, text=True, check=False)
    issues = json.loads(done.stdout)["issues"]["issues"]
    return [issue for issue in issues if issue["severity"] == "error"]


def test_derivatives_are_valid(cases, job):
    segment_all(cases, [], job)
    assert errors(job.out) == []


def test_the_validator_sees_a_fault(cases, job):
    segment_all(cases[:1], [], job)
    (job.out / "sub-00" / "anat" / "sub-00_desc-segsrgan_what.nii.gz").write_bytes(b"")
    assert "NOT_INCLUDED" in {issue["code"] for issue in errors(job.out)}


def test_simulated_images_are_valid(cases, tmp_path):
    simulate_all(cases, tmp_path / "thick", SimulationSettings(slice_mm=4.0))
    assert errors(tmp_path / "thick") == []
