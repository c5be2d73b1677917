"""The threshold that is chosen."""

import weakref
from dataclasses import dataclass, replace

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.segmenter import ModelCard, Segmentation
from segsrgan_study.files import save_image
from segsrgan_study.steps.data.cases import PreparedCase
from segsrgan_study.steps.network import calibrate
from segsrgan_study.steps.network.calibrate import best_threshold, calibrated, calibration_cases, try_thresholds
from tests.settings import model_card

CARD = model_card(cohort="balls")


@dataclass
class Known:
    """In place of a segmenter: its result is known."""

    card: ModelCard
    result: Segmentation

    def __call__(self, image, interpolated):
        return self.result


@pytest.fixture
def known(tmp_path):
    """A cortex of 512 voxels seen with 0.33, beside 8 voxels with 0.28 that are none; 0.1 elsewhere."""
    labels, seen = np.zeros((20, 20, 20), np.uint8), np.full((20, 20, 20), 0.1, np.float32)
    labels[4:12, 4:12, 4:12] = 2
    seen[labels == 2] = 0.33
    seen[14:16, 14:16, 14:16] = 0.28
    path = save_image(Nifti1Image(labels, np.eye(4)), tmp_path / "labels.nii.gz")
    case = PreparedCase(name="sub-1", stem="sub-1", split="val", low=path, labels=path, interpolated=path)
    image, found = Nifti1Image(seen, np.eye(4)), Nifti1Image((seen > 0.5).astype(np.uint8), np.eye(4))
    result = Segmentation(image, image, found, {"cortex": image}, {"cortex": 0.0}, disagreement_ml={"cortex": 0.1})
    return Known(CARD, result), case


def test_the_threshold_of_the_highest_dice_is_chosen(known):
    segmenter, case = known
    trials = try_thresholds(segmenter, [case, case])
    assert best_threshold(trials) == 0.3
    at = trials[trials["threshold"] == 0.25]
    assert at["dice"].tolist() == [2 * 512 / (520 + 512)] * 2
    assert at["volume_error"].tolist() == [520 / 512 - 1] * 2


def test_of_thresholds_of_nearly_the_same_dice_that_of_the_right_volume_is_chosen(known):
    segmenter, case = known
    labels, seen = np.zeros(8000, np.uint8), np.full(8000, 0.1, np.float32)
    labels[:1000] = 2
    seen[:998], seen[998:1000], seen[1000:1002] = 0.58, 0.31, 0.42  # two voxels are missed, two are none
    image = Nifti1Image(seen.reshape(20, 20, 20), np.eye(4))
    save_image(Nifti1Image(labels.reshape(20, 20, 20), np.eye(4)), case.labels)
    found = Known(CARD, replace(segmenter.result, probabilities={"cortex": image}))
    assert best_threshold(try_thresholds(found, [case])) == 0.325  # Dice 0.998; all of 0.999 are two voxels off


@pytest.mark.parametrize(("wished", "used"), [(None, 0.3), (0.25, 0.25)])
def test_a_threshold_that_is_wished_is_the_only_one_tried(known, wished, used):
    segmenter, case = known
    assert calibrated(CARD, try_thresholds(segmenter, [case], wished)).threshold == used


def test_several_classes_have_no_threshold(known):
    segmenter, case = known
    card = replace(CARD, classes=("cortex", "white"), threshold=0.4)
    assert calibrated(card, try_thresholds(Known(card, segmenter.result), [case], 0.3)) == card


def test_one_segmentation_at_a_time_is_in_memory(known):
    segmenter, case = known
    earlier = []

    class Big(Known):
        def __call__(self, image, interpolated):
            assert not any(result() for result in earlier)
            result = replace(self.result)
            earlier.append(weakref.ref(result))
            return result

    assert len(try_thresholds(Big(CARD, segmenter.result), [case] * 3, 0.3)) == len(earlier) == 3


def test_the_cases_are_spread_over_the_training_subjects(monkeypatch):
    cases = {"val": ["v"], "train": list("abcde")}
    monkeypatch.setattr(calibrate, "prepared_cases", lambda _, split: cases[split])
    assert calibration_cases(None, 1) == ["v"]
    assert calibration_cases(None, 4) == ["v", "a", "c", "e"]
    assert calibration_cases(None, 20) == ["v", *"abcde"]
