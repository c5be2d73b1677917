import numpy as np
import pytest

from segsrgan_core.imaging.resynthesis import (
    CSF,
    OUTER,
    OUTER_SPREAD,
    SPREAD,
    TE_MS,
    TISSUES,
    TR_MS,
    draw_signals,
    resynthesise,
    tissue_signals,
)

GREY, WHITE = 2, 3


@pytest.fixture
def head():
    """Two halves, grey and white matter, with a fluid corner and a texture of 5 %."""
    rng = np.random.default_rng(0)
    labels = np.full((16, 16, 16), GREY, np.uint8)
    labels[8:] = WHITE
    labels[:4, :4, :4] = CSF
    signal = np.array([0, 1.0, 0.4, 0.6], np.float32)[labels]
    return signal * (1 + 0.05 * rng.standard_normal(labels.shape).astype(np.float32)), labels


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
    source = np.full(10, 0.5, np.float32)
    target = np.ones(10, np.float32)
    target[WHITE] = 0.0
    ratio = resynthesise(np.ones_like(image), labels, source, target)
    np.testing.assert_allclose(ratio[6:10, 10, 10], [1, 0.8, 0.2, 0], atol=1e-6)


def test_drawn_signals_are_those_of_spin_echoes():
    rng = np.random.default_rng(1)
    drawn = np.array([draw_signals(rng) for _ in range(300)])
    assert (drawn > 0).all()
    np.testing.assert_array_equal(drawn[:, CSF], 1)
    # Grey matter's T2 is shorter than white matter's on average, and both are darker than fluid.
    assert np.median(drawn[:, GREY] / drawn[:, WHITE]) < 0.9
    assert np.mean(drawn[:, WHITE] < 1) > 0.9
    assert np.ptp(drawn[:, GREY]) > 0.4


class Extreme:
    """A generator whose every draw is the lowest or the highest possible."""

    def __init__(self, highest: bool):
        self.highest = highest

    def uniform(self, low, high, size=None):
        value = high if self.highest else low
        return value if size is None else np.full(size, float(value))


@pytest.mark.parametrize("highest", [False, True])
def test_the_most_that_can_be_drawn_is_within_the_spreads(highest):
    side, te_ms, tr_ms = (1, TE_MS[1], TR_MS[1]) if highest else (-1, TE_MS[0], TR_MS[0])
    factor = {name: 1 + side * width for name, width in SPREAD.items()}

    def signal(tissue):
        t1_ms, t2_ms = tissue.t1_ms * factor["t1"], tissue.t2_ms * factor["t2"]
        return tissue.m0 * factor["m0"] * (1 - np.exp(-tr_ms / t1_ms)) * np.exp(-te_ms / t2_ms)

    expected = np.array([signal(TISSUES[number]) for number in range(10)]) / signal(TISSUES[CSF])
    expected[list(OUTER)] *= np.exp(side * OUTER_SPREAD)
    np.testing.assert_allclose(draw_signals(Extreme(highest)), expected, rtol=1e-5)


def test_signals_are_medians_and_what_has_none_gets_the_usual_one():
    labels = np.repeat(np.array([GREY, WHITE, 7], np.uint8), 9).reshape(3, 3, 3)
    image = np.repeat(np.array([0.4, 0.6, 0.01], np.float32), 9).reshape(3, 3, 3)
    image[0, 0, 0] = 0.9  # an outlier moves no median
    usual = image[image >= image.mean()].mean()
    expected = np.full(10, usual)
    expected[[GREY, WHITE]] = 0.4, 0.6  # that of label 7 is below 2 % of the usual one
    np.testing.assert_allclose(tissue_signals(image, labels), expected, rtol=1e-6)
    assert tissue_signals(np.where(labels == 7, 0.02, image), labels)[7] == pytest.approx(0.02)
