import dataclasses
from unittest.mock import Mock

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.imaging.geometry import resample_isotropic, resample_like
from segsrgan_core.segmenter import Segmenter
from segsrgan_study.own_images import run as running
from segsrgan_study.own_images.refined import in_plane_mm, refined
from tests.core.imaging.test_geometry import centre_mm, oblique
from tests.core.test_segmenter import ARGUMENTS, CARD, head
from tests.core.test_simulation import blob
from tests.settings import thick_slices


@pytest.mark.parametrize("codes", ["RAS", "LIP"])
def test_a_finer_result_keeps_the_detail_in_plane_and_adds_the_correction(codes):
    image = thick_slices(blob(oblique((0.5, 0.5, 0.5), codes, 0.2), (64, 72, 60), (1.0, -2.0, 1.5), 4.0), 3.0)
    noise = np.random.default_rng(0).normal(0, 0.02, image.shape)
    image = Nifti1Image((np.asarray(image.dataobj) + noise).astype(np.float32), image.affine)
    plain = Segmenter(CARD, lambda x: np.concatenate([2 * x, x > 0.5], -1).astype(np.float32))(image)
    result, fine = refined(plain, image, CARD, in_plane_mm(image)), resample_isotropic(image, 0.5)
    expected = np.asarray(fine.dataobj) + np.asarray(resample_like(plain.interpolated, fine).dataobj)
    np.testing.assert_array_equal(np.asarray(result.interpolated.dataobj), np.asarray(fine.dataobj))
    inner = (slice(8, -8),) * 3
    np.testing.assert_allclose(np.asarray(result.image.dataobj)[inner], expected[inner], atol=2e-3)
    assert [one.affine.tolist() for one in (result.labels, result.uncertainty)] == [fine.affine.tolist()] * 2
    np.testing.assert_allclose(*(centre_mm(one.probabilities["cortex"]) for one in (result, plain)), atol=0.05)
    assert result.volumes_ml["cortex"] == pytest.approx(plain.volumes_ml["cortex"], rel=0.05)
    assert result.disagreement_ml == plain.disagreement_ml
    rounded = Nifti1Image(image.dataobj, np.diag([0.999999, 0.999999, 3.0, 1.0]))  # 1 mm of a header in float32
    assert in_plane_mm(rounded) == in_plane_mm(plain.image) == CARD.spacing_mm  # nothing finer


def test_tissues_and_hemispheres_of_a_finer_result_fill_the_same_places():
    names = ("cortex", "white")
    card = dataclasses.replace(CARD, classes=names, generator={**ARGUMENTS, "n_classes": 6, "hemispheres": True})

    def network(x):
        inside, core = x[..., :1] > 0.3, x[..., :1] > 0.7
        right = np.zeros_like(inside)
        right[:, inside.shape[1] // 2 :] = True
        parts = [x[..., :1], ~inside, inside & ~core, core, ~inside, inside & ~right, inside & right]
        return np.concatenate([np.asarray(part, np.float32) for part in parts], -1)

    plain = Segmenter(card, network)(head())
    fine = refined(plain, head(), card, 0.5)
    assert fine.volumes_ml == pytest.approx(plain.volumes_ml, rel=0.06)
    assert fine.labels.shape == tuple(2 * n for n in plain.labels.shape)
    coarse, labels = (np.asarray(one.labels.dataobj) for one in (plain, fine))
    assert (np.kron(coarse, np.ones((2, 2, 2))) == labels).mean() > 0.97
    sides = [np.asarray(one.sides.dataobj) for one in (plain, fine)]
    assert (np.kron(sides[0], np.ones((2, 2, 2))) == sides[1]).mean() > 0.97
    assert (labels[sides[1] == 0] == 0).all()


def test_an_image_is_measured_on_the_grid_of_the_network(cases, job, monkeypatch):
    measured = Mock(wraps=running.measures)
    monkeypatch.setattr(running, "measures", measured)
    (done,) = running.segment_all(cases[:1], [], dataclasses.replace(job, spacing_mm=0.9))
    result = measured.call_args.args[-1]
    assert {one.shape for one in result.probabilities.values()} == {result.interpolated.shape}
    assert done.state == "done"
