"""Scores and volumes that figures and tables are made from."""

import numpy as np
import pandas as pd
import pytest

from tests.study.statistics.patients import patients


@pytest.fixture(scope="session")
def scores() -> pd.DataFrame:
    """`results/evaluation/per_subject.csv` of six subjects."""
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
    """`results/variability/volumes.csv` of eight patients."""
    return patients(8)
