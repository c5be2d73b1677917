import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.imaging import resynthesis
from segsrgan_study.phantoms.echoes import NOISE, TE_MS, TISSUES, at_echo_times
from segsrgan_study.phantoms.image import draw_relaxation

CSF, GREY, WHITE = 1, 2, 3


@pytest.fixture(scope="module")
def head():
    labels = np.full((24, 24, 24), GREY, np.uint8)
    labels[12:] = WHITE
    labels[:8, :8] = CSF
    image = np.array([0, 900, 350, 450], np.float32)[labels]
    return Nifti1Image(image, np.eye(4)), Nifti1Image(labels, np.eye(4))


def median(image, labels, number):
    return float(np.median(np.asarray(image.dataobj)[np.asarray(labels.dataobj) == number]))


def test_tissues_decay_as_their_t2_says(head):
    image, labels = head
    images, noise = at_echo_times(image, labels, np.random.default_rng(0))
    tissues = draw_relaxation(np.random.default_rng(0), TISSUES)
    assert tuple(images) == TE_MS
    assert noise == pytest.approx(NOISE * 900)
    assert median(images[120], labels, CSF) == pytest.approx(900, rel=0.01)
    for number in (GREY, WHITE):
        decay = median(images[360], labels, number) / median(images[120], labels, number)
        assert decay == pytest.approx(np.exp(-240 / tissues[number].t2_ms), rel=0.05)


def test_signal_varies_within_a_tissue_and_more_at_a_long_echo_time(head):
    images, _ = at_echo_times(*head, np.random.default_rng(0))
    inner = np.s_[14:22, 2:22, 2:22]
    spread = [np.std(a[inner]) / np.mean(a[inner]) for a in (np.asarray(images[te].dataobj) for te in (120, 360))]
    assert 0.01 < spread[0] < spread[1]


def test_a_head_has_one_draw_and_heads_differ(head):
    one, again, other = (at_echo_times(*head, np.random.default_rng(seed))[0][200] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.dataobj, again.dataobj)
    assert not np.allclose(one.dataobj, other.dataobj, rtol=0.02)


def test_values_reach_beyond_those_of_training():
    rng = np.random.default_rng(0)
    drawn = np.array([[draw_relaxation(rng, TISSUES)[n].t2_ms for n in (GREY, WHITE)] for _ in range(300)])
    for column, number in enumerate((GREY, WHITE)):
        longest = resynthesis.TISSUES[number].t2_ms * (1 + resynthesis.SPREAD["t2"])
        assert np.mean(drawn[:, column] > longest) > 0.005
