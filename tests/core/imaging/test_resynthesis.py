from unittest.mock import Mock

import numpy as np
import pytest

from segsrgan_core.imaging import resynthesis as ranges
from segsrgan_core.imaging.resynthesis import CSF, TISSUES, draw_signals, resynthesise, tissue_signals

GREY, WHITE = 2, 3


@pytest.fixture
def head():
    """Two halves, grey and white matter, with a fluid corner and a texture of 5 %."""
    labels = np.full((16, 16, 16), GREY, np.uint8)
    labels[8:] = WHITE
    labels[:4, :4, :4] = CSF
    signal = np.array([0, 1.0, 0.4, 0.6], np.float32)[labels]
    return signal * (1 + 0.05 * np.random.default_rng(0).standard_normal(labels.shape).astype(np.float32)), labels


def test_tissues_get_the_wished_signals_and_keep_their_texture(head):
    image, labels = head
    source, target = tissue_signals(image, labels), np.linspace(1, 0.1, 10, dtype=np.float32)
    target[CSF] = 1
    result = resynthesise(image, labels, source, target)
    inner = {GREY: np.s_[5:7, 5:, 5:], WHITE: np.s_[10:, 1:, 1:], CSF: np.s_[:3, :3, :3]}
    for number, place in inner.items():
        np.testing.assert_allclose(result[place], image[place] * target[number] * source[CSF] / source[number], 1e-5)


def test_at_a_border_the_ratio_is_that_of_the_mixtures(head):
    image, labels = head
    target = np.ones(10, np.float32)
    target[WHITE] = 0.0
    ratio = resynthesise(np.ones_like(image), labels, np.full(10, 0.5, np.float32), target)
    np.testing.assert_allclose(ratio[6:10, 10, 10], [1, 0.8, 0.2, 0], atol=1e-6)


@pytest.mark.parametrize("highest", [False, True])
def test_the_most_that_can_be_drawn_is_within_the_spreads(highest):
    side, te_ms, tr_ms = 2 * highest - 1, ranges.TE_MS[highest], ranges.TR_MS[highest]
    factor = {name: 1 + side * width for name, width in ranges.SPREAD.items()}
    rng = Mock(uniform=lambda low, high, size=None: (low, high)[highest] * (1.0 if size is None else np.ones(size)))

    def signal(tissue):
        t1_ms, t2_ms = tissue.t1_ms * factor["t1"], tissue.t2_ms * factor["t2"]
        return tissue.m0 * factor["m0"] * (1 - np.exp(-tr_ms / t1_ms)) * np.exp(-te_ms / t2_ms)

    expected = np.array([signal(TISSUES[number]) for number in range(10)]) / signal(TISSUES[CSF])
    expected[list(ranges.OUTER)] *= np.exp(side * ranges.OUTER_SPREAD)
    np.testing.assert_allclose(draw_signals(rng), expected, rtol=1e-5)


def test_signals_are_medians_and_what_has_none_gets_the_usual_one():
    labels = np.repeat(np.array([GREY, WHITE, 7], np.uint8), 9).reshape(3, 3, 3)
    image = np.repeat(np.array([0.4, 0.6, 0.01], np.float32), 9).reshape(3, 3, 3)
    image[0, 0, 0] = 0.9  # an outlier moves no median
    usual = image[image >= image.mean()].mean()
    expected = np.full(10, usual)
    expected[[GREY, WHITE]] = 0.4, 0.6  # that of label 7 is below 10 % of the usual one
    np.testing.assert_allclose(tissue_signals(image, labels), expected, rtol=1e-6)
    assert tissue_signals(np.where(labels == 7, 0.1, image), labels)[7] == pytest.approx(0.1)
    image[2, 0, :2] = 0.2, 0.3  # skin beside air, both without a tissue
    assert tissue_signals(image, labels)[7] == pytest.approx(0.25)
