"""A study with three tiny heads: one for training, one for testing, one patient at two echo times."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.segmenter import Segmenter
from segsrgan_study.cohorts.manifest import write_manifest
from segsrgan_study.files import save_image, sha256
from segsrgan_study.paths import Study
from tests.settings import model_card, thick_slices

ROOT = Path(__file__).parents[3]
SHAPE, SPACING_MM = (36, 40, 30), 2.5


def head(bright: float = 900.0) -> tuple[Nifti1Image, Nifti1Image]:
    """Shells of CSF, cortex and white matter in air."""
    centred = [np.arange(n) - (n - 1) / 2 for n in SHAPE]
    radius = np.linalg.norm(np.meshgrid(*centred, indexing="ij"), axis=0)
    labels = np.select([radius < 6, radius < 9, radius < 13], [3, 2, 1], 0).astype(np.uint8)
    image = np.array([2, bright, 0.35 * bright, 0.5 * bright])[labels]
    affine = np.diag([SPACING_MM] * 3 + [1.0])
    affine[:3, 3] = -SPACING_MM * (np.array(SHAPE) - 1) / 2
    return Nifti1Image(np.rint(image).astype(np.int16), affine), Nifti1Image(labels, affine)


def row(folder: Path, name: str, split: str, te_ms: float, image: Nifti1Image, labels: Nifti1Image) -> dict:
    stem = f"embedded/{name}/anat/{name}"
    paths = {"image": f"{stem}_acq-te{te_ms:g}_T2w.nii.gz", "labels": f"{stem}_desc-drawem9_dseg.nii.gz"}
    digests = [
        sha256(save_image(one, folder / path)) for one, path in zip((image, labels), paths.values(), strict=True)
    ]
    facts = {"cohort": "embedded", "subject": name, "session": "", "split": split, "te_ms": te_ms, "tr_ms": 12000.0}
    return {**facts, **paths, "mask": "", "age_weeks": 40.0, "site": "phantom", "sha256": ";".join(digests)}


@pytest.fixture
def study(tmp_path) -> Study:
    (tmp_path / "data_manifests").mkdir()
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text.replace("\nsetting: quick", "\nsetting: miniature"))
    here, rows = Study(tmp_path), []
    for name, split, bright in (("sub-01", "train", 880), ("sub-02", "test", 900)):
        rows.append(row(here.work, name, split, 156, *head(bright)))
    for te, bright in ((120, 900), (280, 860)):
        image, labels = head(bright)
        low = thick_slices(Nifti1Image(np.asarray(image.dataobj, np.float32), image.affine), 5.0)
        low = Nifti1Image(np.rint(low.dataobj).astype(np.int16), low.affine)
        rows.append(row(here.work, "sub-p01", "variability", te, low, labels))
    write_manifest(pd.DataFrame(rows), here.manifest("embedded"))
    return here


@pytest.fixture
def segmenter() -> Segmenter:
    """No network: what is neither dark nor bright is cortex, with a probability that falls off on both sides."""
    generator = {"name": "unet", "k": 4, "kernel": 3, "padding": "zero", "n_classes": 1, "thickness_channel": False}
    card = model_card(generator=generator, spacing_mm=SPACING_MM, thickness_mm=(5.0, 5.0))

    def network(x: np.ndarray) -> np.ndarray:
        probability = np.exp(-(((x - 0.35) / 0.1) ** 2))
        return np.concatenate([x, probability], axis=-1).astype(np.float32)

    return Segmenter(card, network, step=12)
