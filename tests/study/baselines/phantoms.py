"""Small heads for the tests: nested balls with known labels."""

import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_study.baselines.case import Atlas
from tests.settings import QUICK

COARSE = QUICK.baselines.registration.model_copy(update={"spacing_mm": 3.0, "affine": (100, 50, 10), "syn": (10,)})

# outside, CSF, cortex, white matter: intensities as in T2w
INTENSITIES = {0: 0.0, 1: 190.0, 2: 90.0, 3: 140.0}


def labels_of(shape=(32, 30, 28), radii=(12.0, 10.5, 8.0), shift=(0, 0, 0)) -> np.ndarray:
    """White matter in cortex in CSF, drawem9 numbers, uint8."""
    centre = (np.array(shape) - 1) / 2 + shift
    r = np.sqrt(((np.moveaxis(np.indices(shape), 0, -1) - centre) ** 2).sum(axis=-1))
    return np.select([r < radii[2], r < radii[1], r < radii[0]], [3, 2, 1], 0).astype(np.uint8)


def image_of(labels: np.ndarray, noise=6.0, seed=0) -> np.ndarray:
    """Intensities of labels with noise, at least 0, float32."""
    clean = np.vectorize(INTENSITIES.get)(labels)
    noisy = clean + np.random.default_rng(seed).normal(0, noise, labels.shape) * (labels > 0)
    return np.clip(noisy, 0, None).astype(np.float32)


def nifti(array: np.ndarray, spacing_mm=2.0) -> Nifti1Image:
    """An image with its centre at the origin of the world."""
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = -spacing_mm * (np.array(array.shape) - 1) / 2
    return Nifti1Image(array, affine)


def dice(a: np.ndarray, b: np.ndarray, number: int) -> float:
    return float(2 * np.sum((a == number) & (b == number)) / np.sum((a == number).astype(int) + (b == number)))


def atlas_of(subject: str, image: Nifti1Image, labels: np.ndarray, age_weeks: float = float("nan")) -> Atlas:
    """An atlas whose interpolated image is the image itself."""
    return Atlas(subject, image, nifti(labels), image, age_weeks)
