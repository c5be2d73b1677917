from dataclasses import replace
from itertools import pairwise

import nibabel as nib
import numpy as np
import pytest
import yaml
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from segsrgan_core.classes import DRAWEM9
from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.check import check_files
from segsrgan_study.cohorts.manifest import validated
from segsrgan_study.cohorts.schema import COLUMNS
from segsrgan_study.files import same_grid
from segsrgan_study.phantoms.anatomy import CEREBELLUM, RIBBON, VENTRICLE, load_anatomy
from segsrgan_study.phantoms.cohort import make_subject, write_cohort
from segsrgan_study.phantoms.image import RELAXATION, draw_relaxation
from segsrgan_study.phantoms.shape import LEAST_JACOBIAN, determinant, draw_traits, draw_warp, place
from tests.settings import ROOT, phantom_cohort, simulation

MINI = phantom_cohort(n_train=1, n_val=1, n_test=0, n_patients=1, spacing_mm=2.0, slice_mm=4.0)


def array(image):
    return np.asarray(image.dataobj)


@pytest.fixture(scope="module")
def term():
    return make_subject(MINI, "term", 0)


@pytest.fixture(scope="module")
def patient():
    return make_subject(MINI, "te", 0)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    return root, write_cohort(MINI, root, workers="1")


def test_a_patients_relaxation_is_its_own_within_a_fifth_and_grey_stays_darker():
    for seed in range(50):
        drawn = draw_relaxation(np.random.default_rng(seed))
        for number, usual in RELAXATION.items():
            assert abs(drawn[number].t2_ms / usual.t2_ms - 1) <= 0.2
            assert abs(drawn[number].t1_ms / usual.t1_ms - 1) <= 0.2
        assert drawn[2].t2_ms < drawn[3].t2_ms < drawn[1].t2_ms
        assert drawn[1] == drawn[5]


def test_same_settings_give_the_same_bytes(written, tmp_path):
    root, rows = written
    again = write_cohort(MINI, tmp_path, workers="1")
    assert again.equals(rows)
    files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    assert len(files) == 2 * 5 + 12
    assert all((root / path).read_bytes() == (tmp_path / path).read_bytes() for path in files)


def test_a_subject_does_not_depend_on_how_many_there_are(term):
    other = make_subject(replace(MINI, n_train=7, n_patients=3), "term", 0)
    assert np.array_equal(array(other.images[156.0]), array(term.images[156.0]))


def test_another_seed_and_another_index_give_another_head(term):
    seeded = make_subject(replace(MINI, seed=1), "term", 0)
    assert not np.array_equal(array(seeded.labels), array(term.labels))
    other = make_subject(MINI, "term", 1)
    volumes = [np.bincount(array(s.labels).ravel(), minlength=10)[2] for s in (term, other)]
    assert abs(volumes[0] - volumes[1]) > 0.01 * volumes[0]
    assert other.age_weeks != term.age_weeks


def test_cortex_lies_elsewhere_in_another_subject(term):
    other = make_subject(MINI, "term", 1)
    cortex = array(term.labels) == 2
    voxels = np.argwhere(cortex)
    world = nib.affines.apply_affine(term.labels.affine, voxels)
    at = np.rint(nib.affines.apply_affine(np.linalg.inv(other.labels.affine), world)).astype(int)
    within = np.all((at >= 0) & (at < other.labels.shape), axis=1)
    hits = (array(other.labels)[tuple(at[within].T)] == 2).sum()
    assert 2 * hits / (cortex.sum() + (array(other.labels) == 2).sum()) < 0.6


def test_warp_does_not_fold():
    anatomy = load_anatomy()
    for index in range(3):
        rng = np.random.default_rng(index)
        traits = draw_traits(index, (37, 44), 0.06, 0.045, anatomy.tissue_ml, rng)
        affine, points_mm = place(anatomy, traits, draw_warp(MINI.warp_mm, rng), 2.0)
        relative = determinant(np.array([np.gradient(p, 2.0) for p in points_mm])) * traits.scale**3
        assert relative.min() > LEAST_JACOBIAN
        assert relative.max() < 5
        assert np.array_equal(np.diag(affine), [2, 2, 2, 1])


def test_a_warp_that_folds_is_refused():
    with pytest.raises(UserError, match="warp_mm"):
        draw_warp(8.0, np.random.default_rng(0))


def test_labels_are_drawem9(term, patient):
    for subject in (term, patient):
        labels = array(subject.labels)
        assert labels.dtype == np.uint8
        assert set(np.unique(labels)) == {0, *DRAWEM9}


def test_cortex_keeps_apart_from_the_cerebellum(term):
    anatomy = load_anatomy()
    labels = array(term.labels)
    world = {n: nib.affines.apply_affine(term.labels.affine, np.argwhere(labels == n)) for n in (2, 6, 8)}
    assert world[6][:, 2].mean() < world[2][:, 2].mean() - 15
    assert world[6][:, 1].mean() < world[8][:, 1].mean()
    tissue = anatomy.pial > 0
    cortex, cerebellum = (tissue & (anatomy.territory % VENTRICLE == n) for n in (RIBBON, CEREBELLUM))
    touching = cerebellum & ndimage.binary_dilation(cortex)
    assert touching.sum() < 0.01 * cerebellum.sum()


def test_volumes_are_those_of_a_neonate(term):
    labels = array(term.labels)
    volume_ml = np.bincount(labels.ravel(), minlength=10) * abs(np.linalg.det(term.labels.affine[:3, :3])) / 1000
    tissue_ml = volume_ml[[2, 3, 6, 7, 8, 9]].sum()
    intracranial_ml = array(term.mask).sum() * 0.008
    assert 300 < tissue_ml < 480
    assert intracranial_ml == pytest.approx(tissue_ml + volume_ml[1] + volume_ml[5])
    assert 0.15 < volume_ml[2] / intracranial_ml < 0.4


def test_hemispheres_lie_on_their_sides(term):
    hemispheres = array(term.hemispheres)
    assert np.array_equal(hemispheres > 0, array(term.mask) > 0)
    assert np.array_equal(hemispheres > 0, ~np.isin(array(term.labels), (0, 4)))
    world_x = {n: nib.affines.apply_affine(term.labels.affine, np.argwhere(hemispheres == n))[:, 0] for n in (1, 2)}
    assert np.mean(world_x[1] < 0) > 0.9
    assert np.mean(world_x[2] > 0) > 0.9
    assert 0.8 < len(world_x[1]) / len(world_x[2]) < 1.25


def test_contrast_is_t2_weighted(term):
    image, labels = array(term.images[156.0]), array(term.labels)
    assert image.dtype == np.int16
    median = [np.median(image[labels == number]) for number in range(10)]
    assert median[5] > median[1] > median[3] > median[2] > median[0]
    assert 800 < median[5] < 1000
    assert same_grid(term.images[156.0], term.labels)
    assert not np.array_equal(term.labels.affine[:3, 3], [0, 0, 0])


def test_echo_times_share_a_grid_and_grow_darker(patient):
    images = list(patient.images.values())
    assert list(patient.images) == list(MINI.te_ms)
    assert all(same_grid(images[0], image) for image in images)
    assert np.allclose(nib.affines.voxel_sizes(images[0].affine), [2, 2, 4])
    centres = [nib.affines.apply_affine(i.affine, (np.array(i.shape) - 1) / 2) for i in (images[0], patient.labels)]
    assert np.allclose(*centres, atol=0.01)
    means = [array(image).mean() for image in images]
    assert all(a > b for a, b in pairwise(means))


@pytest.mark.parametrize("change", [{"slice_mm": 5.0}, {"distance_mm": 6.0}, {"plane": "coronal"}, {"profile": "box"}])
def test_patients_are_cut_as_the_simulation_says(patient, change):
    acquisition = simulation(**{"slice_mm": 4.0, **change})
    subject = make_subject(replace(MINI, simulation=acquisition, patient_noise=0.0, te_ms=(120,)), "te", 0)
    truth, image = subject.truths[120], subject.images[120]
    expected = acquisition.slices(Nifti1Image(array(truth).astype(np.float32), truth.affine))
    assert same_grid(image, expected)
    assert np.abs(array(image) - np.clip(array(expected), 0, None)).max() <= 1  # both are rounded
    usual = MINI.simulation.slices(Nifti1Image(array(truth).astype(np.float32), truth.affine))
    assert usual.shape != image.shape or np.abs(array(image) - array(usual)).max() > 20


def test_another_simulation_remakes_the_patients(tmp_path):
    one = replace(MINI, n_train=0, n_val=0, te_ms=(120,))
    first, second = (
        write_cohort(replace(one, simulation=simulation(slice_mm=mm)), tmp_path, workers="1") for mm in (4.0, 5.0)
    )
    assert first.loc[0, "sha256"] != second.loc[0, "sha256"]
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert "simulation" in stages["phantoms"]["params"]


def test_snr_of_grey_falls_with_the_echo_time(patient):
    share = simulation(slice_mm=4.0).slices(
        Nifti1Image((array(patient.labels) == 7).astype(np.float32), patient.labels.affine)
    )
    grey = array(share) > 0.95
    signals = [np.median(array(image)[grey]) for image in patient.images.values()]
    assert np.all(np.diff(signals) < 0)
    # Grey decays with a T2 near 160 ms, from 120 to 360 ms; the noise does not.
    assert signals[0] / signals[3] == pytest.approx(np.exp(240 / 160), rel=0.15)
    air = [np.std(array(image)[:, -1, -1]) for image in patient.images.values()]
    assert np.ptp(air) < 0.5 * np.mean(air)


def test_manifest_rows_are_valid_and_their_files_there(written):
    root, rows = written
    assert list(rows.columns) == list(COLUMNS)
    assert list(rows["split"]) == ["train", "val"] + ["variability"] * 4
    assert list(rows.loc[rows["split"] == "variability", "te_ms"]) == list(MINI.te_ms)
    assert rows["image"].str.startswith("embedded/sub-").all()
    assert rows["site"].eq("phantom").all()
    check_files(validated(rows), root, {n: n for n in range(10)})
    assert (rows["sides"] != "").all()
    assert ((rows["hr"] != "") == (rows["split"] == "variability")).all()


def test_whole_subjects_are_kept_and_broken_ones_remade(written):
    root, rows = written
    kept, broken = (root / rows.loc[i, "image"] for i in (0, 1))
    before = kept.stat().st_mtime_ns
    broken.write_bytes(broken.read_bytes()[:-7])
    assert write_cohort(MINI, root, workers="1").equals(rows)
    assert kept.stat().st_mtime_ns == before


def test_voxels_larger_than_the_slices_are_refused():
    with pytest.raises(UserError, match="is above simulation"):
        replace(MINI, spacing_mm=4.0, simulation=simulation(slice_mm=3.0))
