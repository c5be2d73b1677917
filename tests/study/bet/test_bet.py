import contextlib
import io

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import voxel_volume_ml
from segsrgan_core.metrics import dice
from segsrgan_study.bet import extraction as bet
from tests.settings import QUICK

RADIUS_MM = 40.0


def head(spacing_mm=(2.0, 2.0, 2.0), turn=((1, 0, 0), (0, 1, 0), (0, 0, 1))):
    """A brain of 40 mm, dark bone around it, bright skin: T2w, centred 10 mm off the origin."""
    shape = tuple(int(120 / s) for s in spacing_mm)
    affine = np.eye(4)
    affine[:3, :3] = np.array(turn) @ np.diag(spacing_mm)
    affine[:3, 3] = np.array([10.0, 0, 0]) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    points = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    r = np.linalg.norm(points - [10.0, 0, 0], axis=-1)
    clean = np.select([r < RADIUS_MM, r < 45, r < 50], [100.0, 15.0, 80.0], 0)
    noise = np.random.default_rng(0).normal(0, 3, shape)
    return Nifti1Image(np.clip(clean + noise, 0, None).astype(np.float32), affine), r < RADIUS_MM


def test_noise_in_brain_and_air_does_not_mislead_the_surface():
    image, truth = head()
    noise = np.random.default_rng(1).normal(0, 10, (2, *image.shape))
    noisy = np.hypot(np.asarray(image.dataobj) + noise[0], noise[1]).astype(np.float32)  # as magnitudes: 12 in air
    mask = bet.bet_mask(Nifti1Image(noisy, image.affine), threshold=0.6)
    assert np.asarray(mask.dataobj).dtype == np.uint8
    assert dice(mask.dataobj, truth) > 0.97


@pytest.mark.parametrize("skull", [True, False])
def test_bright_fluid_does_not_take_the_cortex_for_outside(skull):
    """As at a long echo time: white matter twice and fluid nine times as bright as grey matter."""
    r = np.linalg.norm(np.moveaxis(np.indices((60, 60, 60)), 0, -1) * 2.0 - 59, axis=-1)
    zones = [r < 16, r < 18, r < 28, r < 36, r < RADIUS_MM, r < 45, r < 50]
    clean = np.select(zones, [90.0, 800.0, 200.0, 90.0, 800.0, 5.0 * skull, 100.0 * skull], 0)
    noise = np.random.default_rng(0).normal(0, 3, (2, *r.shape))
    image = Nifti1Image(np.hypot(clean + noise[0], noise[1]).astype(np.float32), np.diag([2.0, 2.0, 2.0, 1.0]))
    found = np.count_nonzero(bet.bet_mask(image, QUICK.variability.bet_threshold).dataobj)
    assert found == pytest.approx(np.count_nonzero(r < RADIUS_MM), rel=0.1)


def test_a_step_is_brainextractors_own():
    with contextlib.redirect_stdout(io.StringIO()):
        ours, own = (bet._extractor(bet.head(head()[0], 2.0), 0.6, 2.0) for _ in range(2))
        del own.step_of_deformation  # the class's own is left
        ours.run(30)
        own.run(30)
    np.testing.assert_allclose(ours.vertices, own.vertices, rtol=0, atol=1e-9)


def test_neither_the_grid_of_the_surface_nor_thick_turned_slices_change_the_volume():
    image, _ = head()
    true_ml = 4 / 3 * np.pi * RADIUS_MM**3 / 1000
    masks = [bet.bet_mask(image, 0.6, spacing_mm=spacing) for spacing in (1.5, 2.0)]
    volumes = [np.count_nonzero(mask.dataobj) * voxel_volume_ml(mask) for mask in masks]
    assert volumes == pytest.approx([true_ml, true_ml], rel=0.04)
    assert volumes[0] == pytest.approx(volumes[1], rel=0.015)
    expected_ml = np.sum(bet.bet_mask(image, 0.5).dataobj) * 0.008
    angle = np.pi / 7
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, -1]])
    image, truth = head((2.0, 2.0, 4.0), turn)
    thick = bet.bet_mask(image, 0.5)
    assert thick.shape == image.shape
    assert dice(thick.dataobj, truth) > 0.96
    assert np.sum(thick.dataobj) * 0.016 == pytest.approx(expected_ml, rel=0.02)


def test_an_empty_image_is_refused():
    with pytest.raises(UserError, match="there is no head"):
        bet.bet_mask(Nifti1Image(np.zeros((9, 9, 9), np.float32), np.eye(4)), 0.5)


def test_fsl_where_it_is_on_path_where_it_fails_and_where_it_is_not(program, monkeypatch):
    image, _ = head()
    program("bet", 'test "$6" = 0.4 && cp "$1" brain_mask.nii.gz')
    np.testing.assert_array_equal(np.asarray(bet.bet_mask(image, 0.4, "fsl").dataobj), np.asarray(image.dataobj) > 0)
    program("bet", "echo no licence >&2; exit 3")
    with pytest.raises(UserError, match=r"exit code 3 \(no licence"):
        bet.bet_mask(image, 0.5, "fsl")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="FSL's bet is not on PATH; install FSL"):
        bet.bet_mask(image, 0.5, "fsl")
