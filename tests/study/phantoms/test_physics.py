"""Echo times as training draws them, and scanners for evaluation alone, whose signals are no training's."""

from itertools import pairwise

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.imaging import resynthesis
from segsrgan_core.imaging.contrast import Relaxation
from segsrgan_core.simulation import Simulation
from segsrgan_study.phantoms.image import draw_relaxation
from segsrgan_study.phantoms.physics import NOISE, PHYSICS, TE_MS, TISSUES, Physics, at_echo_times, pure_signals, scan

CSF, GREY, WHITE = 1, 2, 3
SIMULATION = Simulation(slice_mm=3, distance_mm=None, plane="axial", profile="gaussian", noise=0, spacing_mm=None)
T2_MS = {"grey": 100, "white": 200, "fluid": 2000}
POOLS = {name: ((1.0, Relaxation(2000, t2_ms, 1.0)),) for name, t2_ms in T2_MS.items()}
EASY = Physics(**POOLS, tr_ms=10000.0, noise=0.0, b1=0.0, blur_mm=0.1, pixel_mm=1.0, profile="box")

# Grey matter and fluid in turn along x, a voxel each, above plain white matter and fluid; bone around.
SLABS = np.full((32, 32, 30), WHITE, np.uint8)
SLABS[::2, :, 15:], SLABS[1::2, :, 15:], SLABS[:, :16, :15] = GREY, CSF, CSF
SLABS[:, :4] = SLABS[:, -4:] = 4
HEAD = [Nifti1Image(array, np.eye(4)) for array in (np.where(SLABS == 4, 300, 900).astype(np.float32), SLABS)]


def scanned(physics, seed=0, **options):
    images = scan(*HEAD, physics, SIMULATION, np.random.default_rng(seed), **options)
    return {te: np.asarray(image.dataobj) for te, image in images.items()}


def test_a_voxel_of_two_tissues_has_the_mean_of_their_signals_at_every_echo_time():
    images = scanned(EASY._replace(pixel_mm=2.0))
    for te in TE_MS:
        pure = pure_signals(EASY, te)
        expected = 900 / pure_signals(EASY, 120)[CSF] * (pure[GREY] + pure[CSF]) / 2
        assert np.mean(images[te][2:-2, 4:-4, 6:-1]) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("name", PHYSICS)
def test_the_signals_are_none_that_training_draws(name):
    numbers = (GREY, WHITE, CSF)
    signals = {te: np.array([pure_signals(PHYSICS[name], te)[n] for n in numbers]) for te in TE_MS}
    t2_ms = np.array([(b - a) / np.log(signals[a] / signals[b]) for a, b in pairwise(TE_MS)])
    usual = np.array([resynthesis.TISSUES[n].t2_ms for n in numbers])
    outside = np.abs(t2_ms / usual - 1) > resynthesis.SPREAD["t2"]
    bent = np.abs(t2_ms / t2_ms[0] - 1) > 0.05  # not one exponential
    assert np.any(outside | bent) or PHYSICS[name].noise > 0.03  # the largest of training, see params.yaml


def test_echo_times_share_a_head_and_noise_reaches_a_floor():
    noisy = scanned(PHYSICS["little contrast, much noise"])
    air = [np.median(noisy[te][:, :2]) for te in TE_MS]
    assert air[-1] > 0.03 * 900  # bone has decayed; the noise has not
    again, other = (scanned(PHYSICS["two water pools"], seed)[200] for seed in (0, 1))
    np.testing.assert_array_equal(again, scanned(PHYSICS["two water pools"])[200])
    assert not np.allclose(again, other, rtol=0.02)


def test_without_the_skull_nothing_is_left_outside_and_the_content_is_the_same():
    with_skull, without = scanned(EASY)[120], scanned(EASY, skull=False)[120]
    assert with_skull[:, :3].mean() > 250
    assert without[:, :3].max() < 1
    np.testing.assert_allclose(with_skull[:, 8:-8], without[:, 8:-8], rtol=1e-3)


def test_slices_of_another_grid_keep_every_point_where_it_was():
    image = scan(*HEAD, EASY._replace(pixel_mm=0.7), SIMULATION, np.random.default_rng(0))[120]
    assert image.shape == (45, 45, 10)
    border = image.affine[1, 3] + 0.7 * np.argmax(np.abs(np.diff(np.asarray(image.dataobj)[20, 8:-8, 2]))) + 0.7 * 8.5
    assert border == pytest.approx(15.5, abs=0.7)


LABELS = np.full((24, 24, 24), GREY, np.uint8)
LABELS[12:], LABELS[:8, :8] = WHITE, CSF
PLAIN = [Nifti1Image(array, np.eye(4)) for array in (np.array([0, 900, 350, 450], np.float32)[LABELS], LABELS)]


def test_tissues_decay_as_their_t2_says_and_vary_more_at_a_long_echo_time():
    images, noise = at_echo_times(*PLAIN, np.random.default_rng(0))
    assert tuple(images) == TE_MS
    assert noise == pytest.approx(NOISE * 900)
    first, last = (np.asarray(images[te].dataobj) for te in (120, 360))
    assert np.median(first[LABELS == CSF]) == pytest.approx(900, rel=0.01)
    tissues = draw_relaxation(np.random.default_rng(0), TISSUES)
    for number in (GREY, WHITE):
        decay = np.median(last[number == LABELS]) / np.median(first[number == LABELS])
        assert decay == pytest.approx(np.exp(-240 / tissues[number].t2_ms), rel=0.05)
    spread = [np.std(one) / np.mean(one) for one in (first[14:22, 2:22, 2:22], last[14:22, 2:22, 2:22])]
    assert 0.01 < spread[0] < spread[1]


def test_values_reach_beyond_those_of_training():
    rng = np.random.default_rng(0)
    drawn = np.array([[draw_relaxation(rng, TISSUES)[n].t2_ms for n in (GREY, WHITE)] for _ in range(300)])
    for column, number in enumerate((GREY, WHITE)):
        assert np.mean(drawn[:, column] > resynthesis.TISSUES[number].t2_ms * (1 + resynthesis.SPREAD["t2"])) > 0.005
