import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import resample_isotropic, resample_like
from segsrgan_study.cohorts.manifest import image_rows, validated
from segsrgan_study.files import load_image, load_labels, save_image
from segsrgan_study.steps.data.cases import prepared_cases
from segsrgan_study.steps.data.images import interpolated_on, resample_labels
from segsrgan_study.steps.data.prepare import prepare
from tests.settings import thick_slices


def test_a_case_that_fails_is_named_the_others_are_prepared_and_then_it_alone(arguments, capsys):
    study, _, manifest = arguments
    path = study.data_root("balls") / manifest.loc[manifest["subject"] == "ballsb", "image"].item()
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    with pytest.raises(UserError, match=r"1 of 4 failed and the others are done \(ballsb: "):
        prepare(*arguments, ("train", "val", "test"), keep=True)
    assert "ballsb.nii.gz: cannot be read" in capsys.readouterr().err
    folder = study.work / "prepared"
    before = {one: one.stat().st_mtime_ns for one in folder.glob("*.nii.gz")}
    assert {one.name[:6] for one in before} == {"ballsa", "ballsc", "ballsd"}
    path.write_bytes(whole)
    table = prepare(*arguments, ("train", "val", "test"), keep=True)
    assert table["name"].tolist() == ["ballsa", "ballsb", "ballsc", "ballsd"]
    assert all(one.stat().st_mtime_ns == time for one, time in before.items())
    assert len(list(folder.glob("ballsb*.nii.gz"))) == 5


def test_several_processes_prepare_the_same(arguments):
    study, settings, manifest = arguments
    prepare(*arguments)
    before = {path: path.read_bytes() for path in (study.work / "prepared").iterdir()}
    for path in before:
        path.unlink()
    prepare(study, settings.model_copy(update={"workers": "2"}), manifest)
    assert {path: path.read_bytes() for path in (study.work / "prepared").iterdir()} == before


def test_acquired_thick_slices_get_truth_hemispheres_and_interpolation(arguments):
    study, settings, manifest = arguments
    root = study.data_root("balls")
    source = image_rows(manifest, "test")[0]
    head, labels = load_image(root / source.image), load_labels(root / source.labels)
    sides = Nifti1Image(np.where(np.indices(head.shape)[0] < 10, 1, 2).astype(np.uint8), head.affine)
    turned = nib.as_closest_canonical(thick_slices(head, 2.0)).as_reoriented([[0, -1], [1, 1], [2, 1]])
    images = {"low": turned, "labels": labels, "hr": head, "sides": sides}
    files = {kind: f"balls/p/{kind}.nii.gz" for kind in images}
    for kind, image in images.items():
        save_image(image, root / files[kind])
    save_image(thick_slices(head, 3.0), root / "balls/p/again.nii.gz")
    names = {"image": files["low"], "labels": files["labels"], "hr": files["hr"], "sides": files["sides"]}
    patient = source._replace(subject="p", split="variability", te_ms=120.0, sha256="", **names)
    again = patient._replace(image="balls/p/again.nii.gz", labels="", hr="", sides="")
    more = pd.DataFrame([*manifest.itertuples(index=False, name=None), patient, again], columns=manifest.columns)
    prepare(study, settings, validated(more))
    second, first = prepared_cases(study, "variability")
    assert (first.name, second.name, first.te_ms) == ("p", "p", 120.0)
    assert {first.stem, second.stem} == {"p_acq-te120", "p_acq-te120_run-2"}
    assert not first.resynthesised
    assert second.hr is second.labels is second.sides is second.interpolated is None
    low, spline = load_image(first.low), load_image(first.interpolated)
    assert nib.aff2axcodes(low.affine) == ("R", "A", "S")
    np.testing.assert_allclose(spline.dataobj, resample_like(low, head).dataobj, atol=1e-3)
    np.testing.assert_array_equal(load_labels(first.sides).dataobj, sides.dataobj)
    np.testing.assert_array_equal(load_labels(first.labels).dataobj, load_labels(root / files["labels"]).dataobj)


def test_a_truth_that_is_rotated_to_the_slices_is_not_interpolated_to(capsys):
    image = Nifti1Image(np.zeros((4, 4, 4), np.float32), np.eye(4))
    turn = nib.affines.from_matvec([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    assert interpolated_on(Nifti1Image(image.dataobj, turn), image, "p") == {}
    assert "rotated to the slices" in capsys.readouterr().err


def test_labels_become_the_class_with_the_largest_share():
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[:3] = 3
    coarse = resample_labels(Nifti1Image(labels, np.eye(4)), 2.0)
    assert np.asarray(coarse.dataobj)[0].tolist() == np.full((2, 2), 3).tolist()
    same = resample_isotropic(Nifti1Image(labels.astype(np.float32), np.eye(4)), 2.0)
    np.testing.assert_array_equal(coarse.affine, same.affine)


def test_labels_stay_on_their_own_grid_and_finer_ones_are_those_of_the_nearest_voxel():
    labels = Nifti1Image(np.arange(27, dtype=np.uint8).reshape(3, 3, 3), np.eye(4))
    assert resample_labels(labels, 1.0) is labels
    assert resample_labels(labels, 1.001) is not labels
    labels = np.array([1, 1, 4, 4, 2, 2], np.uint8).reshape(6, 1, 1) * np.ones((6, 6, 6), np.uint8)
    fine = np.asarray(resample_labels(Nifti1Image(labels, np.eye(4)), 0.5).dataobj)
    assert fine[:, 6, 6].tolist() == [1] * 4 + [4] * 4 + [2] * 4
