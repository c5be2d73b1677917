import numpy as np
import pytest
from scipy import ndimage

from segsrgan_core.imaging.contrast import exponent
from segsrgan_core.imaging.intensity import intensity_scale
from segsrgan_core.imaging.noise import add_rician, move_slices, random_ramp


def test_exponent_of_one_changes_nothing_and_undershoot_keeps_its_sign():
    x = np.array([-0.25, 0.0, 0.25, 1.0], np.float32)
    np.testing.assert_array_equal(exponent(x, 1.0), x)
    np.testing.assert_allclose(exponent(x, 0.5), [-0.5, 0.0, 0.5, 1.0])


def test_rician_noise_in_air_is_rayleigh_and_in_signal_nearly_gaussian():
    rng = np.random.default_rng(1)
    assert (add_rician(np.float32([-1, 2]), 0.0, rng) == [-1, 2]).all()
    air = add_rician(np.zeros(200_000, np.float32), 2.0, rng)
    assert air.dtype == np.float32
    assert air.mean() == pytest.approx(2.0 * np.sqrt(np.pi / 2), rel=0.01)
    signal = add_rician(np.full(200_000, 100, np.float32), 2.0, rng)
    assert signal.std() == pytest.approx(2.0, rel=0.01)
    assert signal.mean() == pytest.approx(100 + 2.0**2 / 200, abs=0.02)


def test_the_intensity_scale_is_that_of_the_bright_tissue_whatever_share_is_air():
    tissue = np.random.default_rng(0).uniform(200, 400, 5000).astype(np.float32)
    few, many = (np.concatenate([tissue, np.zeros(n, np.float32)]) for n in (3000, 30_000))
    assert intensity_scale(few) == pytest.approx(intensity_scale(many), rel=0.01)
    assert intensity_scale(3 * few) == pytest.approx(3 * intensity_scale(few), rel=1e-5)


@pytest.mark.parametrize("sd", [0.0, 3.0, 12.0])
def test_noise_in_a_wide_field_moves_no_intensity_scale(sd):
    rng = np.random.default_rng(0)
    head = np.zeros((60, 60, 40), np.float32)
    head[10:50, 10:50, 5:35] = ndimage.gaussian_filter(rng.random((40, 40, 30), np.float32), 1) * 300
    wide = add_rician(np.pad(head, [(60, 60), (60, 60), (0, 0)]), sd, rng)
    assert intensity_scale(wide) == pytest.approx(intensity_scale(add_rician(head, sd, rng)), rel=0.02)


def test_a_ramp_is_smooth_and_1_in_the_middle():
    field = random_ramp((9, 11, 13), 0.3, np.random.default_rng(0))
    assert field[4, 5, 6] == pytest.approx(1)
    assert 0.1 < np.ptp(field) < 6
    assert np.abs(np.diff(np.log(field), n=3, axis=2)).max() < 1e-5
    assert field.dtype == np.float32
    draws = [np.log(random_ramp((9, 9, 9), 0.3, np.random.default_rng(seed))) for seed in range(200)]
    ends = np.array([draw[place] for draw in draws for place in ((0, 4, 4), (4, -1, 4), (4, 4, 0))])
    assert 0.5 < np.abs(ends).max() <= 0.6 + 1e-6  # slope and curvature, each up to 0.3
    assert abs(ends.mean()) < 0.05


def test_slices_move_within_their_plane_by_the_sd_that_is_asked_for():
    x, y = np.meshgrid(np.arange(31.0), np.arange(31.0), indexing="ij")
    disc = np.exp(-((x - 15) ** 2 + (y - 15) ** 2) / 18).astype(np.float32)
    moved = move_slices(np.stack([disc] * 400, axis=1), 1.2, np.random.default_rng(0), axis=1)
    mass = moved.sum((0, 2))
    centres = [(moved * grid[:, None]).sum((0, 2)) / mass for grid in (x, y)]
    assert np.std(centres, axis=1) == pytest.approx([1.2, 1.2], rel=0.1)
    assert np.mean(centres) == pytest.approx(15, abs=0.15)
    assert 0.01 < np.mean(mass < 0.92 * np.median(mass)) < 0.06  # slices that lost signal
