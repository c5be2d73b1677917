"""Small stand-ins for what the study leaves in results/."""

from collections.abc import Callable

import nibabel as nib
import numpy as np
import pandas as pd
import pytest


def _head(shape: tuple[int, int, int] = (40, 48, 36), shift: float = 0.0) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """An ellipsoid of three shells, brighter on the patient's right, and its labels (2 is the cortex)."""
    affine = np.diag([1.5, 1.5, 1.5, 1.0])
    affine[:3, 3] = -1.5 * (np.array(shape) - 1) / 2
    centred = [np.arange(n) - (n - 1) / 2 for n in shape]
    x, y, z = np.meshgrid(*centred, indexing="ij")
    radius = np.sqrt(x**2 + (y / 1.2) ** 2 + (z / 0.9) ** 2) + shift
    labels = np.select([radius < 10, radius < 13, radius < 15], [3, 2, 1], 0).astype(np.int16)
    image = np.array([0, 400, 120, 240], np.float32)[labels] + np.where((labels > 0) & (x > 0), 60, 0)
    return nib.Nifti1Image(image.astype(np.float32), affine), nib.Nifti1Image(labels, affine)


def _thick(image: nib.Nifti1Image, factor: int = 3) -> nib.Nifti1Image:
    """The mean of every `factor` slices, in place."""
    data = np.asarray(image.dataobj)
    data = data.reshape(*data.shape[:2], -1, factor).mean(axis=3)
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (factor - 1) / 2
    affine[:3, 2] *= factor
    return nib.Nifti1Image(data.astype(np.float32), affine)


@pytest.fixture(scope="session")
def head() -> Callable:
    return _head


@pytest.fixture(scope="session")
def thick() -> Callable:
    return _thick


@pytest.fixture(scope="session")
def images() -> dict[str, nib.Nifti1Image]:
    truth, labels = _head()
    low = _thick(truth)
    spline = nib.Nifti1Image(np.repeat(np.asarray(low.dataobj), 3, axis=2), truth.affine)
    return {"truth": truth, "labels": labels, "low": low, "spline": spline}


@pytest.fixture(scope="session")
def scores() -> pd.DataFrame:
    rng, rows = np.random.default_rng(0), []
    values = {
        ("segsrgan", "image"): {"psnr": 27, "ssim": 0.9},
        ("spline", "image"): {"psnr": 24, "ssim": 0.8},
        ("segsrgan", "cortex"): {"dice": 0.86, "hd95_mm": 1, "asd_mm": 0.4, "volume_error": 0.02, "n_components": 2},
        ("imapa", "cortex"): {"dice": 0.79, "hd95_mm": 2, "asd_mm": 0.5, "volume_error": -0.1, "n_components": 5},
        ("segsrgan", "white"): {"dice": 0.9},
    }
    for (method, structure), metrics in values.items():
        for metric, value in metrics.items():
            rows += [("embedded", f"sub-{i}", method, structure, metric, value * rng.normal(1, 0.02)) for i in range(6)]
    return pd.DataFrame(rows, columns=["cohort", "subject", "method", "structure", "metric", "value"])


@pytest.fixture(scope="session")
def volumes() -> pd.DataFrame:
    rng, rows = np.random.default_rng(1), []
    for patient in range(8):
        icv = 420 * np.exp(rng.normal(0, 0.1))
        true, age = 0.32 * icv * np.exp(rng.normal(0, 0.02)), rng.uniform(36, 44)
        for te, effect in {120: 0, 200: -3, 280: -8, 360: -15}.items():
            cortex = true + effect + rng.normal()
            rows.append((f"sub-{patient}", te, age, cortex, icv, cortex / icv, true, icv))
    names = "subject te_ms age_weeks cortex_ml icv_ml cortex_over_icv cortex_true_ml icv_true_ml"
    return pd.DataFrame(rows, columns=names.split())


@pytest.fixture(scope="session")
def history() -> pd.DataFrame:
    epoch = np.arange(1, 11)
    curve = np.exp(-epoch / 4)
    columns = {"epoch": epoch, "step": 100 * epoch, "loss_rec": curve, "loss_adv": -curve, "loss_critic": curve - 1}
    columns |= {"loss_ce": curve, "learning_rate": curve / 100}
    scores = {"val_psnr": 27 - curve, "val_psnr_spline": 24.0, "val_dice_cortex": 0.86 - curve / 5}
    return pd.DataFrame(columns | scores)
