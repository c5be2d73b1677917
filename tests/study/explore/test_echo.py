import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.imaging.contrast import TISSUES_3T, contrast_to_noise, spin_echo
from segsrgan_study.explore.echo import FIELDS, REFERENCE_MS, Slab, cut_slab, signals_by_label
from tests.settings import simulation
from tests.study.explore.conftest import head

QUIET = simulation(slice_mm=2.5, noise=0.0)


@pytest.fixture
def slab() -> Slab:
    image, labels = head()
    return Slab(Nifti1Image(np.asarray(image.dataobj, np.float32), image.affine), labels)


def inside(slab: Slab, echo, number: int) -> float:
    """Median signal of a tissue away from its borders, which the slice profile mixes."""
    return float(np.median(np.asarray(echo.low.dataobj)[np.asarray(slab.labels.dataobj) == number]))


@pytest.mark.parametrize("te_ms", [120, 280])
def test_tissues_have_the_ratio_of_the_spin_echo(slab, te_ms):
    echo = slab.at(te_ms, 12000, TISSUES_3T, QUIET)
    wished = [spin_echo(t.m0, t.t1_ms, t.t2_ms, te_ms, 12000) for t in (TISSUES_3T["white"], TISSUES_3T["csf"])]
    assert inside(slab, echo, 3) / inside(slab, echo, 1) == pytest.approx(wished[0] / wished[1], rel=0.15)


def test_csf_fades_with_its_own_t2_and_air_stays(slab):
    early, late = (slab.at(te, REFERENCE_MS[1], TISSUES_3T, QUIET) for te in (REFERENCE_MS[0], 360))
    assert inside(slab, early, 1) == pytest.approx(900, rel=0.05)
    assert inside(slab, late, 1) / inside(slab, early, 1) == pytest.approx(np.exp(-240 / 2000), rel=0.03)
    assert inside(slab, late, 0) < 3


def test_the_segmentation_is_scored_in_the_slab(slab, segmenter):
    echo = slab.at(120, 12000, TISSUES_3T, QUIET, segmenter)
    assert echo.volume_ml == pytest.approx(np.count_nonzero(echo.found.dataobj) * 2.5**3 / 1000)
    assert 0 < echo.dice < 1
    assert np.isnan(slab.at(120, 12000, TISSUES_3T, QUIET).dice)


def test_the_slab_is_cut_around_the_cortex_and_stays_in_place():
    image, labels = head()
    slab = cut_slab(image, labels, 12)
    assert slab.image.shape[2] == slab.labels.shape[2] == 12
    start = round((slab.image.affine[2, 3] - image.affine[2, 3]) / 2.5)
    np.testing.assert_array_equal(slab.image.dataobj, np.asarray(image.dataobj)[:, :, start : start + 12])
    assert abs(start + 6 - image.shape[2] / 2) <= 1
    assert cut_slab(image, labels, 1000).image.shape == image.shape


def test_contrast_to_noise_by_hand():
    grey, white = TISSUES_3T["grey"], TISSUES_3T["white"]
    s_grey = 0.88 * (1 - np.exp(-12000 / 2500)) * np.exp(-120 / 162)
    s_white = 0.92 * (1 - np.exp(-12000 / 3300)) * np.exp(-120 / 232)
    assert contrast_to_noise(grey, white, 120, 12000, 0.02) == pytest.approx((s_white - s_grey) / 0.02)


@pytest.mark.parametrize("field", FIELDS)
def test_white_matter_is_brighter_than_cortex_at_every_te(field):
    for te in (80, 200, 400):
        signals = signals_by_label(FIELDS[field], te, 8000)
        assert signals[2] < signals[3] < signals[1] == signals[5]
