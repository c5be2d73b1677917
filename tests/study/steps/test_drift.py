from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.drift import Drift
from segsrgan_core.segmenter import ModelCard, Segmentation
from segsrgan_study.files import save_image
from segsrgan_study.steps.data.cases import PreparedCase
from segsrgan_study.steps.network.calibrate import DRAWS, contrast_table, with_drift
from tests.settings import QUICK, model_card

CARD = model_card()


def table(slope, heads=5, noise=0.01):
    rng = np.random.default_rng(1)
    contrast = np.tile([-0.3, -0.2, -0.1, 0.0], heads)
    head = np.repeat(np.arange(heads), 4)
    log_ratio = 0.1 * head + slope * contrast + noise * rng.standard_normal(len(head))  # heads differ by far more
    return pd.DataFrame({"head": head, "contrast": contrast, "log_ratio": log_ratio})


def test_the_slope_is_that_within_heads():
    drift = with_drift(CARD, table(-0.4)).drift
    assert drift.slope == pytest.approx(-0.4, abs=0.04)
    assert drift.usual == pytest.approx(-0.15, abs=1e-4)
    assert (drift.low, drift.high) == (-0.3, 0.0)


@pytest.mark.parametrize("known", [table(0.0), table(-0.4, heads=1).iloc[:2], table(-0.4).iloc[:0]])
def test_a_slope_that_may_be_0_is_none(known):
    assert with_drift(replace(CARD, drift=Drift(1, 0, 0, 0)), known).drift is None


def test_each_head_is_segmented_at_random_contrasts_without_the_drift_known_before(tmp_path):
    labels = np.zeros((16, 16, 16), np.uint8)
    labels[4:12, 4:12, 4:12] = 3
    labels[6:10, 6:10, 6:10] = 2
    affine = np.diag([2, 2, 2, 1])
    path = save_image(Nifti1Image(labels, affine), tmp_path / "labels.nii.gz")
    high = save_image(Nifti1Image(np.float32([0.1, 1, 0.5, 0.8])[labels], affine), tmp_path / "high.nii.gz")
    case, levels = PreparedCase("sub-1", "sub-1", "val", low=high, hr=high, labels=path), []

    @dataclass
    class Known:
        card: ModelCard

        def __call__(self, image, like):
            assert self.card.drift is None
            levels.append(float(np.max(image.dataobj)))
            return Segmentation(like, like, Nifti1Image(np.where(labels == 2, 2, 0).astype(np.uint8), affine), {}, {})

    known = Known(replace(CARD, drift=Drift(1, 0, 0, 0)))
    found = contrast_table(known, [case], QUICK)
    assert found["head"].tolist() == ["sub-1"] * DRAWS
    assert len(set(levels)) == DRAWS
    np.testing.assert_allclose(found["contrast"], np.log(0.5 / 0.8), atol=1e-5)
    np.testing.assert_allclose(found["log_ratio"], 0, atol=1e-7)
    training = QUICK.training.model_copy(update={"contrast_model": "exponent"})
    assert contrast_table(known, [case], QUICK.model_copy(update={"training": training})).empty
