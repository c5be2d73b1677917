from pathlib import Path

import nibabel as nib
import numpy as np
import pytest


@pytest.fixture
def put():
    """Write a tiny image, or labels if `numbers` are given."""

    def write(path: Path, numbers=(), seed=0, shape=(5, 6, 4), affine=None) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        array = np.random.default_rng([seed, *path.name.encode()]).random(shape, np.float32)
        if len(numbers):
            array = np.resize(np.array(numbers, np.int16), shape)
        nib.save(nib.Nifti1Image(array, np.diag([0.5, 0.5, 0.5, 1.0]) if affine is None else affine), path)
        return path

    return write
