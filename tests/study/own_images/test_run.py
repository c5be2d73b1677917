import dataclasses
import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from segsrgan_study.files import load_image
from segsrgan_study.own_images import run as running
from segsrgan_study.own_images.names import InputImage
from segsrgan_study.own_images.run import segment_all
from tests.core.test_segmenter import head


def states(outcomes):
    return [one.state for one in outcomes]


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_case_leaves_images_record_and_sheet(cases, job):
    assert states(segment_all(cases, [], job)) == ["done"] * 3
    base = job.out / "sub-01" / "anat" / "sub-01"
    for name in ("desc-segsrgan_T2w", "desc-segsrgan_dseg", "label-CGM_desc-segsrgan_probseg"):
        assert nib.load(f"{base}_{name}.nii.gz").ndim == 3
        facts = json.loads((base.parent / f"{base.name}_{name}.json").read_text())
        assert facts["Sources"] == ["sub-01_T2w.nii.gz"]
        assert facts["Weights"]["Name"] == "tiny"
        assert len(facts["Weights"]["Sha256"]) == 64
        assert facts["Options"] == {"Step": 8, "Engine": "openvino", "Precision": "float32", "Flips": "none"}
        assert set(facts["Versions"]) >= {"numpy", "openvino"}
    assert (job.out / "sub-01" / "figures" / "sub-01_desc-segsrgan_T2w.png").read_bytes()[:4] == b"\x89PNG"


def test_rounding_for_smaller_files_cannot_be_seen(cases, job):
    segment_all(cases[:1], [], job)
    written = np.asarray(nib.load(job.out / cases[0].path("T2w", ".nii.gz")).dataobj)
    result = running.segmenter_of(job)(load_image(cases[0].file))
    np.testing.assert_allclose(written, np.asarray(result.image.dataobj), atol=written.max() / 2**14)


def test_the_volumes_are_ready_for_statistics(cases, job):
    segment_all(cases, [], job)
    table = pd.read_csv(job.out / "volumes.tsv", sep="\t")
    assert table["participant_id"].tolist() == ["sub-00", "sub-01", "sub-02"]
    labels = nib.load(job.out / "sub-02" / "anat" / "sub-02_desc-segsrgan_dseg.nii.gz")
    counted = (np.asarray(labels.dataobj) == 2).sum() * abs(np.linalg.det(labels.affine[:3, :3])) / 1000
    assert table["cortex_ml"][2] == pytest.approx(counted, rel=1e-4)
    assert counted > 0
    assert set(json.loads((job.out / "volumes.json").read_text())) == set(table.columns)


def test_what_is_done_is_not_done_again_and_changes_nothing(cases, job, network):
    segment_all(cases, [], job)
    before, calls = content(job.out), network.calls
    assert states(segment_all(cases, [], job)) == ["there"] * 3
    assert network.calls == calls
    assert content(job.out) == before


def test_only_what_is_missing_damaged_or_changed_is_done(cases, job, save):
    segment_all(cases, [], job)
    (job.out / cases[0].path("probseg", ".nii.gz", "cortex")).write_bytes(b"cut off")
    save(head(offset=(4, 4, 4)), cases[2].file)
    assert states(segment_all(cases, [], job)) == ["done", "there", "done"]


def test_a_run_that_was_stopped_goes_on(cases, job, monkeypatch):
    from segsrgan_study.own_images import run

    whole = run.segment_image

    def stopped(image, **options):
        if image.name == "sub-01":
            raise KeyboardInterrupt
        whole(image, **options)

    monkeypatch.setattr(run, "segment_image", stopped)
    with pytest.raises(KeyboardInterrupt):
        segment_all(cases, [], job)
    monkeypatch.setattr(run, "segment_image", whole)
    assert states(segment_all(cases, [], job)) == ["there", "done", "done"]
    assert len(pd.read_csv(job.out / "volumes.tsv", sep="\t")) == 3


@pytest.mark.parametrize("change", ["step", "weights", "card"])
def test_other_weights_or_options_do_it_again(cases, job, change):
    segment_all(cases[:1], [], job)
    if change == "step":
        job = dataclasses.replace(job, step=4)
    elif change == "weights":
        (job.model / "generator.npz").write_bytes(b"others")
    else:
        path = job.model / "model.json"
        path.write_text(path.read_text().replace('"threshold": 0.5', '"threshold": 0.6'))
    assert states(segment_all(cases[:1], [], job)) == ["done"]


def test_automatic_precision_takes_what_is_there(cases, job):
    segment_all(cases[:1], [], job)
    auto = dataclasses.replace(job, precision="auto")
    assert states(segment_all(cases[:1], [], auto)) == ["there"]


def test_one_bad_image_does_not_stop_the_others(cases, job, tmp_path, capsys):
    bad, missing = tmp_path / "in" / "bad.nii.gz", tmp_path / "in" / "missing.nii.gz"
    bad.write_bytes(cases[0].file.read_bytes()[:2000])
    more = [InputImage(bad, "sub-bad", bad.name), InputImage(missing, "sub-missing", missing.name)]
    outcomes = segment_all([more[0], cases[0], more[1]], [("DICOM folder 1", "the screen said why")], job)
    assert states(outcomes) == ["failed", "failed", "done", "failed"]
    said = capsys.readouterr().err
    assert str(bad) in said
    assert str(missing) in said
    table = pd.read_csv(job.out / "cases.tsv", sep="\t").set_index("image")
    assert table["state"].to_dict() == {
        "DICOM folder 1": "failed",
        "bad.nii.gz": "failed",
        "missing.nii.gz": "failed",
        "sub-00_T2w.nii.gz": "succeeded",
    }
    assert table["reason"]["bad.nii.gz"].startswith("bad.nii.gz: cannot be read")
    assert not list(job.out.rglob("*bad*"))


def test_a_fault_of_the_program_costs_one_case(cases, job, monkeypatch, capsys):
    def broken(image, **options):
        if image.name == "sub-01":
            raise ZeroDivisionError("oh")
        whole(image, **options)

    whole = running.segment_image
    monkeypatch.setattr(running, "segment_image", broken)
    outcomes = segment_all(cases, [], job)
    assert states(outcomes) == ["done", "failed", "done"]
    assert outcomes[1].reason == "ZeroDivisionError: oh"
    assert f"{cases[1].file}: ZeroDivisionError: oh" in capsys.readouterr().err
    monkeypatch.setattr(running, "segment_image", whole)
    assert states(segment_all(cases, [], job)) == ["there", "done", "there"]


def test_a_case_that_fails_later_leaves_nothing_of_before(cases, job):
    segment_all(cases, [], job)
    cases[1].file.write_bytes(b"broken now")
    assert states(segment_all(cases, [], job)) == ["there", "failed", "there"]
    assert not [path for path in (job.out / "sub-01").rglob("*") if path.is_file()]
    assert pd.read_csv(job.out / "volumes.tsv", sep="\t")["case"].tolist() == ["sub-00", "sub-02"]


def test_nothing_written_tells_where_it_was_made(cases, job, tmp_path):
    missing = tmp_path / "in" / "missing.nii.gz"
    segment_all([*cases, InputImage(missing, "sub-missing", missing.name)], [], job)
    for name, data in content(job.out).items():
        assert str(tmp_path).encode() not in data, name
