import nibabel as nib
import numpy as np
import pytest

from tests.settings import thick_slices


def head(shape: tuple[int, int, int] = (40, 48, 36), shift: float = 0.0) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """An ellipsoid of three shells, brighter on the patient's right, and its labels (2 is the cortex)."""
    affine = np.diag([1.5, 1.5, 1.5, 1.0])
    affine[:3, 3] = -1.5 * (np.array(shape) - 1) / 2
    x, y, z = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in shape], indexing="ij")
    radius = np.sqrt(x**2 + (y / 1.2) ** 2 + (z / 0.9) ** 2) + shift
    labels = np.select([radius < 10, radius < 13, radius < 15], [3, 2, 1], 0).astype(np.int16)
    image = np.array([0, 400, 120, 240], np.float32)[labels] + np.where((labels > 0) & (x > 0), 60, 0)
    return nib.Nifti1Image(image.astype(np.float32), affine), nib.Nifti1Image(labels, affine)


@pytest.fixture(scope="session")
def images() -> dict[str, nib.Nifti1Image]:
    truth, labels = head()
    low = thick_slices(truth, 4.5, profile="box")
    spline = nib.Nifti1Image(np.repeat(np.asarray(low.dataobj), 3, axis=2), truth.affine)
    return {"truth": truth, "labels": labels, "low": low, "spline": spline}
