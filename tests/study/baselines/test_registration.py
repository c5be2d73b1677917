import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from segsrgan_core.errors import UserError
from segsrgan_study.baselines import ants_worker, registration
from segsrgan_study.baselines.atlas_images import match_histogram
from segsrgan_study.baselines.atropos import _atropos
from segsrgan_study.baselines.case import Atlas, Case, MethodFailed
from segsrgan_study.baselines.methods import METHODS
from segsrgan_study.baselines.registration import pair_path, warped_atlases
from segsrgan_study.pool import ProcessDiedError
from tests.study.baselines.phantoms import COARSE, atlas_of, dice, image_of, labels_of, nifti

SHAPE = (40, 38, 36)
RADII = ((15.0, 12.0, 9.0), (13.0, 10.5, 8.0), (16.0, 13.5, 10.0))
MOVES = ((0, 0, 0), (2.0, -1.0, 1.0), (-1.5, 1.0, 0.0))


def atlas(number):
    labels = labels_of(SHAPE, RADII[number], MOVES[number])
    image = nifti(image_of(labels, seed=number))
    return Atlas(str(number), image, nifti(labels), nifti(np.asarray(image.dataobj) + 1))


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    truth = labels_of(SHAPE, (14.0, 11.5, 8.5))
    atlases = tuple(atlas(number) for number in range(3))
    return Case(nifti(image_of(truth, seed=9)), atlases, tmp_path_factory.mktemp("cache"), COARSE), truth


def test_registration_brings_atlases_to_the_image_and_the_vote_takes_the_most_frequent_label(case):
    warped = warped_atlases(case[0])
    assert {one.shape for one in warped.values()} == {(3, *SHAPE)}
    assert [warped[name].dtype for name in ("image", "interpolated", "labels")] == [np.float32, np.float32, np.uint8]
    for before, after in zip(case[0].atlases, warped["labels"], strict=True):
        assert dice(after, case[1], 3) > max(0.85, dice(np.asarray(before.labels.dataobj), case[1], 3) - 0.02)
    inside = warped["labels"] > 0
    assert np.mean(warped["interpolated"][inside] - warped["image"][inside]) == pytest.approx(1, abs=0.1)
    vote = np.asarray(METHODS["majority_vote"].run(case[0]).dataobj)
    assert all((np.sum(warped["labels"] == vote, 0) >= np.sum(warped["labels"] == one, 0)).all() for one in range(4))


def test_nothing_is_computed_twice_unless_damaged_and_all_methods_share(case, monkeypatch):
    warped = warped_atlases(case[0])
    assert warped is warped_atlases(replace(case[0]))  # in memory for the next method
    warped_atlases.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(registration, "register", None)
        np.testing.assert_equal(warped_atlases(case[0]), warped)  # and on disk for the next run
        METHODS["majority_vote"].run(case[0])
        METHODS["imapa"].tuned(half_window=1).run(case[0])
    entries = sorted(case[0].cache.iterdir())
    assert [entry.suffix for entry in entries] == [".npz"] * 3
    size = entries[0].stat().st_size
    entries[0].write_bytes(entries[0].read_bytes()[:1000])
    warped_atlases.cache_clear()
    np.testing.assert_equal(warped_atlases(case[0]), warped)
    assert entries[0].stat().st_size == size


def test_the_key_depends_on_all_that_matters(case, monkeypatch):
    image, one = case[0].image, case[0].atlases[0]
    keys = [
        pair_path(case[0], one),
        pair_path(replace(case[0], image=nifti(np.asarray(image.dataobj) + 1)), one),
        pair_path(replace(case[0], image=nifti(np.asarray(image.dataobj), spacing_mm=1.9)), one),
        pair_path(case[0], case[0].atlases[1]),
        pair_path(case[0], replace(one, interpolated=one.image)),
        pair_path(replace(case[0], registration=COARSE.model_copy(update={"syn": (9,)})), one),
    ]
    assert pair_path(case[0], replace(one, subject="x")) == keys[0]
    monkeypatch.setattr(registration, "IMAGING", registration.IMAGING[1:])  # as if its code had changed
    keys.append(pair_path(case[0], one))
    assert len(set(keys)) == len(keys)


def test_a_pair_that_fails_names_its_atlas_and_stops_no_other(case, tmp_path):
    empty = atlas_of("empty", nifti(np.zeros(SHAPE, np.float32)), np.ones(SHAPE, np.uint8))
    broken = replace(case[0], atlases=(empty, case[0].atlases[0]), cache=tmp_path)
    with pytest.raises(MethodFailed, match="registration failed: empty: "):
        METHODS["majority_vote"].run(broken)
    assert len(list(tmp_path.glob("*.npz"))) == 1


def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_fault_of_the_machine_is_no_fault_of_an_atlas(case, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(NotADirectoryError, match="file"):
        METHODS["majority_vote"].run(replace(case[0], cache=tmp_path / "file" / "registrations"))
    monkeypatch.setattr(registration, "_try_to_register", die)
    with pytest.raises(ProcessDiedError, match="run the same command again"):
        METHODS["majority_vote"].run(replace(case[0], cache=tmp_path))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("joint_label_fusion", {"rad": 1, "r_search": 1}),
        ("atropos", {"iterations": 1}),
        ("imapa", {"half_window": 1}),
        ("imapa", {"half_window": 1, "atlas_images": "high_resolution"}),
        ("drawem_style_em", {"bias_correction": False}),
    ],
)
def test_fusion_is_at_least_about_as_good_as_the_vote(case, name, parameters):
    vote, found = METHODS["majority_vote"].run(case[0]), METHODS[name].tuned(**parameters).run(case[0])
    vote, found = np.asarray(vote.dataobj), np.asarray(found.dataobj)
    assert set(np.unique(found)) <= {0, 1, 2, 3}
    for number in (2, 3):
        assert dice(found, case[1], number) > dice(vote, case[1], number) - 0.03
    if name == "imapa":
        with pytest.raises(UserError, match="atlas_images cannot be 'hr'; choose among interpolated, high_resolution"):
            METHODS[name].tuned(atlas_images="hr").run(case[0])


def test_atropos_repeats_itself_where_classes_are_hard_to_tell(tmp_path):
    rng = np.random.default_rng(1)
    fields = np.stack([ndimage.gaussian_filter(rng.normal(size=(36, 36, 36)), 3) for _ in range(3)])
    labels = (1 + fields.argmax(axis=0)).astype(np.uint8)
    blurred = 1 + np.argmax([ndimage.gaussian_filter((labels == n) * 1.0, 2) for n in (1, 2, 3)], axis=0)
    noisy = nifti((10 * labels + rng.normal(0, 6, labels.shape)).astype(np.float32))
    case = Case(noisy, (atlas_of("a", noisy, blurred.astype(np.uint8)),), tmp_path, COARSE)
    first, again = (np.asarray(METHODS["atropos"].run(case).dataobj) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_atropos_keeps_a_grid_of_odd_sizes():
    image = np.random.default_rng(0).random((9, 11, 13), np.float32)
    image[:5] += 2
    inside, near = np.ones(image.shape, bool), np.where(image > 1.5, np.float32(0.8), np.float32(0.2))
    options = {"priorweight": 0.5, "m": "[0.1,1x1x1]", "c": "[1,0]", "r": 0}
    np.testing.assert_array_equal(_atropos(image, inside, np.stack([near, 1 - near]), options)[0] > 0.5, image > 1.5)


def test_an_oblique_image_keeps_its_place():
    affine = np.array([[0, -1.5, 0.1, 10.0], [2.0, 0, 0, -5.0], [0, 0.1, 3.0, 7.0], [0, 0, 0, 1]])
    image = Nifti1Image(np.random.default_rng(0).random((4, 5, 6)).astype(np.float32), affine)
    converted = ants_worker.to_ants(image)
    import ants

    lps = ants.transform_index_to_physical_point(converted, [1, 2, 3])
    np.testing.assert_allclose(np.array(lps) * [-1, -1, 1], (affine @ [1, 2, 3, 1])[:3], atol=1e-4)
    np.testing.assert_array_equal(converted.numpy(), np.asarray(image.dataobj))


def test_histograms_are_matched():
    reference = np.random.default_rng(0).gamma(4.0, 25.0, (20, 20, 20)).astype(np.float32)
    inside = np.zeros(reference.shape, bool)
    inside[2:-2] = True
    image = (0.3 * reference[::-1] ** 0.7).astype(np.float32)
    matched = match_histogram(image, inside, reference)
    found, expected = (np.quantile(one[inside], [0.1, 0.5, 0.9]) for one in (matched, reference))
    np.testing.assert_allclose(found, expected, rtol=0.02)
    assert (np.diff(matched.ravel()[np.argsort(image.ravel())]) >= -1e-3).all()
    assert match_histogram(np.where(np.arange(20)[:, None, None] < 10, 0, image), inside, reference)[:10].max() == 0
    np.testing.assert_array_equal(match_histogram(image, np.zeros_like(inside), reference), image)
