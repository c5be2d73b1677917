import weakref
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from scipy import special

from segsrgan_core.segmenter import ModelCard, Segmentation
from segsrgan_study.files import save_image
from segsrgan_study.steps.data.cases import PreparedCase
from segsrgan_study.steps.network import calibrate
from segsrgan_study.steps.network.calibrate import Sample, calibrated, effect
from tests.settings import model_card

CARD = model_card(cohort="balls")
NAMES = ("cortex", "white", "csf")


def samples(n_classes, temperature, biases, cases=3, n=40_000, sharp=1.5):
    """Cases of a network that is too sure and prefers some tissues: softmax(logits) holds, it says something else."""
    made = []
    for seed in range(cases):
        rng = np.random.default_rng(seed)
        logits = sharp * rng.standard_normal((n, 1 + n_classes))
        truth = (special.softmax(logits, -1).cumsum(-1) < rng.random((n, 1))).sum(-1)
        made.append(Sample(special.log_softmax(temperature * logits - np.array([0, *biases]), -1), truth))
    return made


@pytest.mark.parametrize(("names", "biases"), [(NAMES[:1], [0.8]), (NAMES, [0.5, -0.4, 0.3])])
def test_a_network_that_is_too_sure_gets_probabilities_that_hold_and_volumes_that_are_right(names, biases, monkeypatch):
    monkeypatch.setattr(calibrate, "NEARLY", 1.0)  # Dice is no concern here
    given = samples(len(names), 2.0, biases)
    card = calibrated(replace(CARD, classes=names), given)
    table = effect(card, given)
    assert table.loc["cortex", ("ece", "before")] > 0.05
    assert table.loc["cortex", ("ece", "after")] < 0.5 * table.loc["cortex", ("ece", "before")]
    assert table.loc["cortex", ("volume", "after")] == pytest.approx(1, abs=0.02)
    assert [bias for name, bias in card.biases.items() if name != "cortex"] == [0] * (len(names) - 1)


def test_temperature_is_recovered_where_no_bias_is_needed():
    given = samples(3, 2.0, [0, 0, 0], sharp=4.0)
    card = calibrated(replace(CARD, classes=NAMES), given)
    assert card.temperature == pytest.approx(2, rel=0.1)
    assert (effect(card, given)["ece", "after"] < 0.01).all()


def test_half_of_the_cases_are_too_large_and_half_too_small_whatever_an_odd_one_is():
    def case(missed):  # an odd case has many voxels that the network says nothing of
        truth = np.repeat([0, 1], 500)
        lead = np.where(truth == 1, 1.0, -3.0)
        lead[500 : 500 + missed] = -2.0
        return Sample(np.stack([0 * lead, lead], -1), truth)

    assert calibrated(CARD, [case(0), case(0), case(400)]).biases["cortex"] == pytest.approx(1.0)
    assert effect(calibrated(CARD, [case(0)] * 3), [case(0)] * 3)["volume", "after"].item() == 1


def case(lead, cohort=""):
    """A head that needs a bias of `lead`."""
    return Sample(np.stack([np.zeros(1000), np.linspace(-1, 1, 1000) - lead], -1), np.repeat([0, 1], 500), cohort)


def test_a_bias_that_the_heads_do_not_agree_on_is_none():
    leads = (-0.6, -0.2, 0.1, 0.4, 0.8), (0.09, 0.1, 0.1, 0.1, 0.11)
    apart, alike = ([case(lead) for lead in some] for some in leads)
    assert calibrated(CARD, apart).biases["cortex"] == 0
    assert calibrated(CARD, alike).biases["cortex"] == pytest.approx(0.1, abs=0.01)


def test_a_cohort_of_many_heads_has_no_more_say_than_one_of_few():
    given = [*(case(0.4, "phantoms") for _ in range(7)), case(0.0, "atlas")]
    assert calibrate._right_bias(given, 1) == pytest.approx(0.2, abs=0.01)
    assert calibrate._right_bias([one._replace(cohort="") for one in given], 1) == pytest.approx(0.4, abs=0.01)


def test_right_volumes_cost_next_to_no_dice():
    lead = np.concatenate([np.full(3000, -4.0), np.full(900, 2.0), np.full(100, -1.5), np.linspace(-1.1, -0.9, 200)])
    sample = Sample(np.stack([0 * lead, lead], -1), np.repeat([0, 1, 0], [3000, 1000, 200]))
    card = calibrated(CARD, [sample])  # the right volume would take 100 of the 200 that are none: Dice 0.90, not 0.95
    assert 0 < card.biases["cortex"] < 0.95
    assert effect(card, [sample])["dice", "after"].item() == pytest.approx(1800 / 1900)


@dataclass
class Known:
    """In place of a segmenter: its result is known, and that of the call before is not in memory any more."""

    card: ModelCard
    result: Segmentation
    earlier: list[weakref.ref] = field(default_factory=list)

    def __call__(self, image, interpolated):
        assert (self.card.temperature, self.card.biases) == (1.0, {})
        assert not any(result() for result in self.earlier)
        result = replace(self.result)
        self.earlier.append(weakref.ref(result))
        return result


def test_what_is_sampled_is_not_calibrated_and_one_segmentation_at_a_time_is_in_memory(tmp_path):
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[4:12, 4:12, 4:12] = 2
    path = save_image(Nifti1Image(labels, np.eye(4)), tmp_path / "labels.nii.gz")
    case = PreparedCase(name="sub-1", stem="sub-1", split="val", low=path, labels=path, interpolated=path)
    image = Nifti1Image(np.where(labels, np.float32(0.7), np.float32(0)), np.eye(4))
    segmenter = Known(replace(CARD, temperature=2.0), Segmentation(image, image, image, {"cortex": image}, {}))
    found = calibrate.sample_cases(segmenter, [case] * 3)
    assert len(found) == len(segmenter.earlier) == 3
    assert found[0].truth.tolist() == [1] * 512  # elsewhere nothing is in doubt
    np.testing.assert_allclose(np.exp(found[0].log_p), [[0.3, 0.7]] * 512, rtol=1e-5)


def test_the_cases_are_spread_over_the_training_subjects(monkeypatch):
    monkeypatch.setattr(calibrate, "prepared_cases", lambda _, split: {"val": ["v"], "train": list("abcde")}[split])
    assert calibrate.calibration_cases(None, 1) == ["v"]
    assert calibrate.calibration_cases(None, 4) == ["v", "a", "c", "e"]
    assert calibrate.calibration_cases(None, 20) == ["v", *"abcde"]
