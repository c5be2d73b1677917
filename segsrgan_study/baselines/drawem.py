"""DrawEM itself, where its user has built it: an adapter to `mirtk neonatal-segmentation` (github.com/MIRTK/DrawEM)."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.cores import cores
from segsrgan_core.errors import UserError
from segsrgan_study.baselines.case import Case, Method, MethodFailed
from segsrgan_study.faults import NotAvailable
from segsrgan_study.files import load_labels, save_image

AGES_WEEKS = (28, 44)  # of its templates; the program itself moves an age outside to the nearer end
RESULT = "segmentations/image_tissue_labels.nii.gz"  # its nine tissues carry the numbers of drawem9


def label(case: Case, timeout_hours: float) -> Nifti1Image:
    """Label an image with the program, in a scratch folder; it brings its own atlases."""
    if (program := shutil.which("mirtk")) is None:
        raise NotAvailable("mirtk not found")
    if not np.isfinite(case.age_weeks):
        raise UserError("DrawEM: age_weeks, which chooses its template, is unknown; fill in the manifest.")
    with tempfile.TemporaryDirectory(prefix="drawem-") as folder:
        save_image(case.image, Path(folder, "image.nii.gz"))
        age = str(round(float(np.clip(case.age_weeks, *AGES_WEEKS))))
        command = [program, "neonatal-segmentation", "image.nii.gz", age, "-t", str(cores())]
        log = _run(command, Path(folder), timeout_hours)
        try:
            labels = load_labels(Path(folder, RESULT))
        except UserError as error:
            raise MethodFailed(f"DrawEM ended without a label map ({error}): {log}") from error
    if not np.any(labels.dataobj):  # seen in practice, with exit code 0
        raise MethodFailed(f"DrawEM gave a map of zeros: {log}")
    return labels


def version() -> str:
    """Return what `mirtk --version` says; "not found" without mirtk."""
    if (program := shutil.which("mirtk")) is None:
        return "not found"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=60)
    number = re.search(r"\d+(\.\d+)+\S*|[0-9a-f]{7,40}", said.stdout + said.stderr)
    return f"mirtk {number.group() if number else 'of unknown version'}"


def _run(command: list[str], folder: Path, timeout_hours: float) -> str:
    """Run the program and all that it starts as one group, killed at a time-out; return its last words."""
    with (folder / "log.txt").open("w") as log:
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(command, cwd=folder, start_new_session=True, **streams)
        try:
            code = process.wait(timeout_hours * 3600)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise MethodFailed(f"DrawEM was stopped after {timeout_hours:g} hours") from error
            raise
    said = " ".join((folder / "log.txt").read_text(errors="replace").split())[-300:]
    if code:
        raise MethodFailed(f"DrawEM ended with the exit code {code}: {said}")
    return said


METHOD = Method("drawem", "DrawEM", version, {"timeout_hours": 12.0}, label, needs_atlases=False)
