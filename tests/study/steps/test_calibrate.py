"""The threshold that is chosen, and the errors of volumes at that threshold."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.segmenter import ModelCard, Segmentation
from segsrgan_study.files import save_image
from segsrgan_study.params import read_params
from segsrgan_study.steps.data.cases import PreparedCase
from segsrgan_study.steps.network import calibrate
from segsrgan_study.steps.network.calibrate import best_threshold, calibrated
from tests.settings import model_card

ARGUMENTS = {"name": "unet", "k": 2, "kernel": 3, "padding": "zero", "n_classes": 1, "hemispheres": False}
CARD = model_card(cohort="balls")


@dataclass
class Known:
    """In place of a segmenter: its result is known."""

    card: ModelCard
    result: Segmentation

    def __call__(self, image, interpolated):
        return self.result


@pytest.fixture
def results(tmp_path):
    """A cortex of 512 voxels seen with 0.33, beside 8 voxels with 0.28 that are none; 0.1 elsewhere."""
    labels, seen = np.zeros((20, 20, 20), np.uint8), np.full((20, 20, 20), 0.1, np.float32)
    labels[4:12, 4:12, 4:12] = 2
    seen[labels == 2] = 0.33
    seen[14:16, 14:16, 14:16] = 0.28
    path = save_image(Nifti1Image(labels, np.eye(4)), tmp_path / "labels.nii.gz")
    case = PreparedCase(name="sub-1", stem="sub-1", split="val", low=path, labels=path, interpolated=path)
    image, found = Nifti1Image(seen, np.eye(4)), Nifti1Image((seen > 0.5).astype(np.uint8), np.eye(4))
    result = Segmentation(image, image, found, {"cortex": image}, {"cortex": 0.0}, disagreement_ml={"cortex": 0.1})
    return [(result, case)]


def test_the_threshold_of_the_highest_dice_is_chosen(results):
    assert best_threshold(CARD, results) == 0.3


def test_of_thresholds_of_nearly_the_same_dice_that_of_the_right_volume_is_chosen(results):
    result, case = results[0]
    labels, seen = np.zeros(8000, np.uint8), np.full(8000, 0.1, np.float32)
    labels[:1000] = 2
    seen[:998], seen[998:1000], seen[1000:1002] = 0.58, 0.31, 0.42  # two voxels are missed, two are none
    image = Nifti1Image(seen.reshape(20, 20, 20), np.eye(4))
    save_image(Nifti1Image(labels.reshape(20, 20, 20), np.eye(4)), case.labels)
    found = [(replace(result, probabilities={"cortex": image}), case)]
    assert best_threshold(CARD, found) == 0.325  # Dice 0.998; all of 0.999 are two voxels off


@pytest.mark.parametrize(("wished", "used", "error_ml"), [(None, 0.3, 0.0), (0.25, 0.25, 0.008), (0.5, 0.5, 0.512)])
def test_the_errors_are_those_at_the_threshold(results, monkeypatch, wished, used, error_ml):
    result, case = results[0]
    params = Path(__file__).parents[3] / "params.yaml"
    settings = read_params(params, "embedded", "miniature", {"inference.threshold": wished})
    monkeypatch.setattr(calibrate, "prepared_cases", lambda _, split: [case] if split == "val" else [])
    card = calibrated(None, settings, Known(replace(CARD, threshold=wished or 0.5), result))
    assert (card.threshold, card.error_cases) == (used, 1)
    assert card.error_factors["cortex"] == pytest.approx(error_ml / 0.1, abs=1e-6)


def test_the_cases_are_spread_over_the_training_subjects(monkeypatch):
    cases = {"val": ["v"], "train": list("abcde")}
    monkeypatch.setattr(calibrate, "prepared_cases", lambda _, split: cases[split])
    assert calibrate._cases(None, 1) == ["v"]
    assert calibrate._cases(None, 4) == ["v", "a", "c", "e"]
    assert calibrate._cases(None, 20) == ["v", *"abcde"]
