import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from segsrgan_core.classes import DRAWEM9
from segsrgan_core.errors import UserError
from segsrgan_study import paths
from segsrgan_study.cohorts.manifest import check_files, validated
from segsrgan_study.cohorts.schema import COLUMNS
from segsrgan_study.files import same_grid
from segsrgan_study.paths import Study
from segsrgan_study.phantoms.anatomy import CEREBELLUM, RIBBON, VENTRICLE, load_anatomy
from segsrgan_study.phantoms.cohort import make_subject, write_cohort
from segsrgan_study.phantoms.image import RELAXATION, draw_relaxation
from segsrgan_study.phantoms.shape import draw_warp
from tests.settings import phantom_cohort, simulation

MINI = phantom_cohort(n_train=1, n_val=1, n_test=0, n_patients=1, spacing_mm=2.0, slice_mm=4.0)


def array(image):
    return np.asarray(image.dataobj)


def places(labels, number):
    """World coordinates of the voxels of one number, (n, 3) in mm."""
    return nib.affines.apply_affine(labels.affine, np.argwhere(array(labels) == number))


def term_images(index=0, **changes):
    return make_subject(replace(MINI, **changes), index)[1][156.0]


@pytest.fixture(scope="module")
def term():
    return term_images()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    return root, write_cohort(MINI, root, workers="1")


def test_a_patients_relaxation_is_its_own_within_a_fifth_and_grey_stays_darker():
    for seed in range(50):
        drawn = draw_relaxation(np.random.default_rng(seed), RELAXATION)
        times = np.array([[(d[n].t1_ms, d[n].t2_ms) for n in RELAXATION] for d in (drawn, RELAXATION)])
        assert np.abs(times[0] / times[1] - 1).max() <= 0.2
        assert drawn[2].t2_ms < drawn[3].t2_ms < drawn[1].t2_ms
        assert drawn[1] == drawn[5]


def test_a_subject_follows_from_the_seed_and_its_index_alone(term):
    np.testing.assert_array_equal(array(term_images(n_train=7, n_patients=3)["image"]), array(term["image"]))
    assert not np.array_equal(array(term_images(seed=1)["labels"]), array(term["labels"]))


def test_cortex_lies_elsewhere_in_another_subject(term):
    labels, others = term["labels"], term_images(1)["labels"]
    world = places(labels, 2)
    at = np.rint(nib.affines.apply_affine(np.linalg.inv(others.affine), world)).astype(int)
    within = np.all((at >= 0) & (at < others.shape), axis=1)
    hits = (array(others)[tuple(at[within].T)] == 2).sum()
    volume = (array(others) == 2).sum()
    assert 2 * hits / (len(world) + volume) < 0.6
    assert abs(len(world) - volume) > 0.01 * volume


def test_a_warp_that_folds_is_refused():
    with pytest.raises(UserError, match="warp_mm"):
        draw_warp(8.0, np.random.default_rng(0))


def test_cortex_keeps_apart_from_the_cerebellum(term):
    anatomy = load_anatomy()
    cortex, cerebellum, brainstem = (places(term["labels"], number).mean(axis=0) for number in (2, 6, 8))
    assert cerebellum[2] < cortex[2] - 15
    assert cerebellum[1] < brainstem[1]
    tissue = anatomy.pial > 0
    cortex, cerebellum = (tissue & (anatomy.territory % VENTRICLE == n) for n in (RIBBON, CEREBELLUM))
    assert (cerebellum & ndimage.binary_dilation(cortex)).sum() < 0.01 * cerebellum.sum()


def test_volumes_are_those_of_a_neonate(term):
    assert set(np.unique(array(term["labels"]))) == {0, *DRAWEM9}
    volume_ml = np.bincount(array(term["labels"]).ravel(), minlength=10) * 0.008
    intracranial_ml = array(term["mask"]).sum() * 0.008
    assert 300 < volume_ml[[2, 3, 6, 7, 8, 9]].sum() < 480
    assert 0.15 < volume_ml[2] / intracranial_ml < 0.4


def test_hemispheres_lie_on_their_sides(term):
    sides = array(term["sides"])
    np.testing.assert_array_equal(sides > 0, array(term["mask"]) > 0)
    np.testing.assert_array_equal(sides > 0, ~np.isin(array(term["labels"]), (0, 4)))
    left, right = (places(term["sides"], number)[:, 0] for number in (1, 2))
    assert min(np.mean(left < 0), np.mean(right > 0)) > 0.9
    assert 0.8 < len(left) / len(right) < 1.25


def test_contrast_is_t2_weighted(term):
    image, labels = array(term["image"]), array(term["labels"])
    assert image.dtype == np.int16
    median = [np.median(image[labels == number]) for number in range(10)]
    assert median[5] > median[1] > median[3] > median[2] > median[0]
    assert 800 < median[5] < 1000
    assert same_grid(term["image"], term["labels"])


@pytest.mark.parametrize("change", [{"slice_mm": 5.0}, {"distance_mm": 6.0}, {"plane": "coronal"}, {"profile": "box"}])
def test_patients_are_cut_as_the_simulation_says(change):
    acquisition = simulation(**{"slice_mm": 4.0, **change})
    config = replace(MINI, simulation=acquisition, patient_noise=0.0, te_ms=(120,))
    image, truth = (make_subject(config, 0, patient=True)[1][120][column] for column in ("image", "hr"))
    truth = Nifti1Image(array(truth).astype(np.float32), truth.affine)
    expected, usual = acquisition.slices(truth), MINI.simulation.slices(truth)
    assert same_grid(image, expected)
    assert np.abs(array(image) - np.clip(array(expected), 0, None)).max() <= 1  # both are rounded
    assert usual.shape != image.shape or np.abs(array(image) - array(usual)).max() > 20


def test_another_simulation_remakes_the_patients(tmp_path):
    one = replace(MINI, n_train=0, n_val=0, te_ms=(120,))
    cuts = (simulation(slice_mm=mm) for mm in (4.0, 5.0))
    first, second = (write_cohort(replace(one, simulation=cut), tmp_path, workers="1") for cut in cuts)
    assert first.loc[0, "sha256"] != second.loc[0, "sha256"]


def test_snr_of_grey_falls_with_the_echo_time():
    patient = make_subject(MINI, 0, patient=True)[1]
    labels = patient[120]["labels"]
    grey = array(MINI.simulation.slices(Nifti1Image((array(labels) == 7).astype(np.float32), labels.affine))) > 0.95
    images = [array(images["image"]) for images in patient.values()]
    signals = [np.median(image[grey]) for image in images]
    assert np.all(np.diff(signals) < 0)
    # Grey decays with a T2 near 160 ms, from 120 to 360 ms; the noise does not.
    assert signals[0] / signals[3] == pytest.approx(np.exp(240 / 160), rel=0.15)
    air = [np.std(image[:, -1, -1]) for image in images]
    assert np.ptp(air) < 0.5 * np.mean(air)


def test_manifest_rows_are_valid_and_their_files_there(written):
    root, rows = written
    acquired = rows["split"] == "variability"
    assert list(rows.columns) == list(COLUMNS)
    assert list(rows["split"]) == ["train", "val"] + ["variability"] * 4
    assert list(rows.loc[acquired, "te_ms"]) == list(MINI.te_ms)
    assert rows["sides"].ne("").all()
    assert (rows["hr"].ne("") == acquired).all()
    check_files(validated(rows), root, {n: n for n in range(10)})


def test_whole_subjects_are_kept_and_broken_ones_remade_with_the_same_bytes(written):
    root, rows = written
    files = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert len(files) == 2 * 5 + 12
    kept, *broken = (root / rows.loc[i, "image"] for i in (0, 1, 2))  # the last is a patient's
    before = kept.stat().st_mtime_ns
    for path in broken:
        path.write_bytes(files[path][:-7])
    assert write_cohort(MINI, root, workers="1").equals(rows)
    assert {path: path.read_bytes() for path in files} == files
    assert kept.stat().st_mtime_ns == before


@pytest.mark.parametrize("file", ["imaging/noise.py", "simulation.py"])
def test_phantoms_are_made_again_after_a_change_of_what_they_are_made_with(file, tmp_path, monkeypatch):
    for package in ("segsrgan_core", "segsrgan_study"):
        shutil.copytree(paths.CODE / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(paths, "CODE", tmp_path)
    before = Study(tmp_path).phantoms
    with (tmp_path / "segsrgan_core" / file).open("a") as source:
        source.write("# changed")
    assert Study(tmp_path).phantoms != before
