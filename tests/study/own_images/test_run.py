import dataclasses
import itertools
import json
import re
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from unittest.mock import Mock

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from segsrgan_core.atomic import write_json, write_text
from segsrgan_core.errors import UserError
from segsrgan_study.figures import contact_sheet
from segsrgan_study.files import load_image
from segsrgan_study.own_images import bids, tables
from segsrgan_study.own_images import run as running
from segsrgan_study.own_images.bids import as_written, write_top
from segsrgan_study.own_images.failures import LOCKED, forget, keep
from segsrgan_study.own_images.names import WITHDRAWN, Failure, InputImage
from segsrgan_study.own_images.run import segment_all
from segsrgan_study.own_images.tables import write_tables
from segsrgan_study.statistics.growth import Curve, Reference, find_reference
from segsrgan_study.verdict.measures import MEASURES
from segsrgan_study.verdict.rule import FILE, NEVER, checksum
from tests.core.test_segmenter import head
from tests.study.verdict.test_rule import MODEL


def states(images, job, failures=()):
    return [one.state for one in segment_all(images, failures, job)]


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def table_of(job, name):
    return pd.read_csv(job.out / f"{name}.tsv", sep="\t")


def page_of(job):
    return (job.out / "report.html").read_text()


def test_the_shape_stands_with_the_cortex_of_each_side(cases, job):
    segment_all(cases[:1], [], job)
    record = job.out / cases[0].record
    facts = json.loads(record.read_text())
    assert set(facts["Shape"].values()) == {None}  # the network knows no white matter
    facts["Volumes_ml"] = {"cortex": 5.0, "left_cortex": 2.0, "left_white": 1.0}
    record.write_text(json.dumps(facts | {"Shape": {"left_thickness_mm": 1.5}}))
    assert states(cases[:1], job) == ["there"]
    np.testing.assert_array_equal(table_of(job, "volumes")["thickness_mm"], [np.nan, 1.5, np.nan])


def test_every_case_leaves_images_record_sheet_and_volumes(cases, job):
    assert states(cases, job) == ["done"] * 3
    base = job.out / "sub-01" / "anat" / "sub-01"
    for name in ("desc-segsrgan_T2w", "desc-segsrgan_dseg", "label-CGM_desc-segsrgan_probseg"):
        assert nib.load(f"{base}_{name}.nii.gz").ndim == 3
        facts = json.loads((base.parent / f"{base.name}_{name}.json").read_text())
        assert facts["Sources"] == ["sub-01_T2w.nii.gz"]
        assert facts["Weights"]["Name"] == "tiny"
        assert len(facts["Weights"]["Sha256"]) == 64
        assert facts["Options"] == {"Engine": "openvino", "Precision": "float32", "Spacing": "in plane"}
        assert set(facts["Versions"]) >= {"numpy", "openvino"}
    assert (job.out / "sub-01" / "figures" / "sub-01_desc-segsrgan_T2w.png").read_bytes()[:4] == b"\x89PNG"
    written = np.asarray(nib.load(job.out / cases[0].path("T2w", ".nii.gz")).dataobj)
    image = np.asarray(running.segmenter_of(job)(load_image(cases[0].file)).image.dataobj)
    np.testing.assert_allclose(written, image, atol=written.max() / 2**14)  # rounded for smaller files
    assert list(table_of(job, "cases"))[:3] == ["verdict", "case", "image"]
    record = json.loads((job.out / cases[0].record).read_text())
    assert (record["Verdict"], record["Probability"], record["Notes"]) == ("good", None, [])
    assert set(record["Quality"]) == set(MEASURES)
    volumes = table_of(job, "volumes")
    assert volumes["participant_id"].tolist() == ["sub-00", "sub-01", "sub-02"]
    labels = nib.load(f"{base}_desc-segsrgan_dseg.nii.gz")
    counted = (np.asarray(labels.dataobj) == 2).sum() * abs(np.linalg.det(labels.affine[:3, :3])) / 1000
    assert volumes["volume_ml"][1] == pytest.approx(counted, rel=1e-4)
    assert counted > 0
    assert set(json.loads((job.out / "volumes.json").read_text())) == set(volumes.columns)
    assert volumes[["low_ml", "high_ml"]].isna().all(axis=None)  # these weights were not calibrated


def test_volumes_have_intervals_with_the_weights_that_were_calibrated(cases, job):
    of = checksum(job.identity()["Weights"])
    ends = {"cortex": dict.fromkeys(("good", "marked"), (-0.2, 0.3))}
    known = dataclasses.replace(MODEL, weights_sha256=of, slopes={"cortex": 0.5}, ends=ends)
    write_json(job.model / FILE, dataclasses.asdict(known))
    segment_all(cases[:1], [], job)
    row = table_of(job, "volumes").iloc[0]
    assert row["low_ml"] < row["volume_ml"] < row["high_ml"]
    assert f"{row['low_ml']:.1f} to {row['high_ml']:.1f}" in page_of(job)


def test_what_is_done_is_not_done_again_and_changes_nothing(cases, job, network):
    segment_all(cases, [], job)
    before, calls = content(job.out), network.call_count
    assert states(cases, job) == ["there"] * 3
    assert states(cases, dataclasses.replace(job, precision="auto")) == ["there"] * 3  # takes what is there
    assert network.call_count == calls
    assert content(job.out) == before


def test_only_what_is_missing_damaged_or_changed_is_done(cases, job, save):
    segment_all(cases, [], job)
    (job.out / cases[0].path("probseg", ".nii.gz", "cortex")).write_bytes(b"cut off")
    save(head(offset=(4, 4, 4)), cases[2].file)
    assert states(cases, job) == ["done", "there", "done"]
    for told, state in (('{"SliceThickness": 6, "EchoTime": NaN}', "done"), ('{"SliceThickness": 6.0}', "there")):
        cases[1].file.with_name("sub-01_T2w.json").write_text(told)
        assert states(cases, job) == ["there", state, "there"]


@pytest.mark.parametrize("change", ["weights", "card", "spacing"])
def test_other_weights_or_options_do_it_again_and_are_told(cases, job, change):
    segment_all(cases[:2], [], job)
    assert "different weights" not in page_of(job)
    if change == "spacing":
        job = dataclasses.replace(job, spacing_mm=0.8)
    elif change == "weights":
        (job.model / "generator.npz").write_bytes(b"others")
    else:
        path = job.model / "model.json"
        path.write_text(path.read_text().replace('"temperature": 1.0', '"temperature": 1.2'))
    assert states(cases[:1], job) == ["done"]
    assert ("different weights" in page_of(job)) == (change != "card")
    mm = nib.load(job.out / cases[0].path("T2w", ".nii.gz")).header.get_zooms()
    np.testing.assert_allclose(mm, 0.8 if change == "spacing" else 1.0, rtol=1e-6)


@pytest.mark.parametrize("fault", [KeyboardInterrupt, ZeroDivisionError])
def test_a_run_that_was_stopped_goes_on_and_a_fault_of_the_program_costs_one_case(cases, job, monkeypatch, fault):
    whole = running.segment_image

    def broken(image, **options):
        if image.name == "sub-01":
            raise fault("oh")
        whole(image, **options)

    monkeypatch.setattr(running, "segment_image", broken)
    if fault is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            segment_all(cases, [], job)
    else:
        statuses = segment_all(cases, [], job)
        assert [(one.state, one.reason) for one in statuses[:2]] == [("done", ""), ("failed", "ZeroDivisionError: oh")]
    monkeypatch.setattr(running, "segment_image", whole)
    assert states(cases, job) == ["there", "done", "done" if fault is KeyboardInterrupt else "there"]
    assert len(table_of(job, "volumes")) == 3


def test_bad_images_stop_no_others_and_nothing_tells_where_it_was_made(cases, job, tmp_path, capsys):
    bad = InputImage(tmp_path / "J.  Doe" / "bad.nii.gz", "sub-bad", "bad.nii.gz")
    bad.file.parent.mkdir()
    missing = InputImage(tmp_path / "in" / "a<b>.nii", "sub-ab", "a<b>.nii")
    bad.file.write_bytes(cases[0].file.read_bytes()[:2000])
    failures = [Failure("DICOM folder 1", "why"), Failure("a\udcff.nii", "a\udcff.nii: broken")]
    assert states([bad, cases[0], missing], job, failures) == ["failed"] * 3 + ["done", "failed"]
    said = capsys.readouterr().err
    assert f"{tmp_path}/J. Doe/bad.nii.gz" in said
    assert str(missing.file) in said
    table = table_of(job, "cases").set_index("image")
    assert (table["state"] == "failed").sum() == 4
    assert table["state"][cases[0].source] == "succeeded"
    assert table["reason"]["bad.nii.gz"].startswith("bad.nii.gz: cannot be read")
    assert not list(job.out.glob("sub-*/**/*bad*"))
    assert "4 failed" in page_of(job)
    assert "a&lt;b&gt;.nii" in page_of(job)
    assert "<b>.nii" not in page_of(job)
    for name, data in content(job.out).items():
        assert str(tmp_path).encode() not in data, name


def test_a_case_that_fails_or_cannot_be_written_leaves_nothing(cases, job, monkeypatch):
    segment_all(cases, [], job)
    cases[1].file.write_bytes(b"broken now")
    assert states(cases, job) == ["there", "failed", "there"]
    assert not [path for path in (job.out / "sub-01").rglob("*") if path.is_file()]
    assert table_of(job, "volumes")["case"].tolist() == ["sub-00", "sub-02"]
    monkeypatch.setattr(bids, "source_digest", Mock(side_effect=OSError(28, "No space left on device")))
    other = dataclasses.replace(job, out=job.out.with_name("full"))
    assert states(cases[:1], other) == ["failed"]
    assert not [path for path in (other.out / "sub-00").rglob("*") if path.is_file()]


def test_the_page_needs_no_network_and_shows_every_case_the_doubtful_first(cases, job, save):
    save(head(thickness=6.0), cases[2].file)
    segment_all(cases, [], job)
    page = page_of(job)
    assert "2 good, 1 to look at" in page
    assert re.findall('<article id="([^"]*)"', page) == ["sub-02", "sub-00", "sub-01"]
    for source in re.findall(r'(?:src|href)="([^"#][^"]*)"', page):
        assert (job.out / source).is_file(), source
    assert "//" not in re.sub(r"<!--.*?-->", "", page, flags=re.DOTALL)


def test_the_worst_comes_first_and_an_outlier_is_looked_at(cases, job, monkeypatch):
    monkeypatch.setattr(running, "reasons", lambda volumes, numbers: [NEVER])
    monkeypatch.setattr(tables, "outliers", lambda numbers: ["", "snr (z +9.0)", ""])
    segment_all(cases, [], job)
    found = table_of(job, "cases")
    assert found["verdict"].tolist() == ["do not use"] * 3
    monkeypatch.setattr(running, "reasons", lambda volumes, numbers: [])
    segment_all(cases, [], dataclasses.replace(job, spacing_mm=0.9))
    found = table_of(job, "cases")[["verdict", "case"]]
    assert found.agg(" ".join, axis=1).tolist() == ["look sub-01", "good sub-00", "good sub-02"]


def test_a_contact_sheet_does_not_depend_on_the_last_digits(cases, job, tmp_path):
    result = as_written(running.segmenter_of(job)(load_image(cases[0].file)))
    other = nib.Nifti1Image(np.asarray(result.image.dataobj) * np.float32(1 - 1e-6), result.image.affine)
    for name, one in (("a", result), ("b", as_written(dataclasses.replace(result, image=other)))):
        contact_sheet.draw(one, "case").save(tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_folder_of_other_data_is_no_place_for_the_results(cases, job):
    simulated = {"Name": bids.SIMULATED, "GeneratedBy": [bids.MAKER]}
    for facts in (simulated, {"Name": "Ours"}):
        write_json(job.out / "dataset_description.json", facts)
        with pytest.raises(UserError, match="another data set"):
            segment_all(cases, [], job)
    assert [path.name for path in job.out.iterdir()] == ["dataset_description.json"]
    with pytest.raises(UserError, match="holds the image"):
        segment_all(cases, [], dataclasses.replace(job, out=cases[0].file.parent.parent))


def test_what_others_wrote_stays(cases, job):
    segment_all(cases[:1], [], job)
    facts = json.loads((job.out / "dataset_description.json").read_text())
    write_json(job.out / "dataset_description.json", facts | {"Authors": ["Me"]})
    write_text(job.out / "README", "mine")
    with (job.out / ".bidsignore").open("a") as handle:
        handle.write("mine\n")
    segment_all(cases[:1], [], job)
    assert json.loads((job.out / "dataset_description.json").read_text())["Authors"] == ["Me"]
    assert (job.out / "README").read_text() == "mine"
    assert (job.out / ".bidsignore").read_text().split() == [*bids.NOT_BIDS, "mine"]
    write_json(job.out / "dataset_description.json", facts | {"GeneratedBy": [*facts["GeneratedBy"], {"Name": "Ours"}]})
    for out in (job.out, job.out.with_name("mine")):
        write_text(out / "growth.png", "mine")
        with pytest.raises(UserError, match="another data set"):
            segment_all(cases, [], dataclasses.replace(job, out=out))


def test_what_another_job_did_in_the_meantime_stays(cases, job, network, save):
    segment_all(cases[:1], [], job)
    calls, before = network.call_count, content(job.out)
    running.segment_image(cases[0], job, job.identity())
    for file in (save(head(offset=(4, 4, 4)), job.out.with_name("other.nii.gz")), job.out.with_name("missing.nii.gz")):
        other = dataclasses.replace(cases[0], file=file, age_weeks=44.0)
        with pytest.raises(UserError, match="results of another image"):
            running.segment_image(other, job, job.identity())
        segment_all([other], [], job)
    assert table_of(job, "volumes")["age_weeks"].isna().all()
    segment_all(cases[:1], [], job)
    assert network.call_count == calls
    after = content(job.out)
    assert all(after[name] == before[name] for name in before if name.startswith("sub-"))


def test_failures_stay_until_their_image_succeeds_whichever_job_ran_last(cases, job, tmp_path, save):
    content = cases[0].file.read_bytes()
    cases[0].file.write_bytes(b"broken")
    locked = Failure("in", LOCKED, cases[0].file.parent)
    segment_all(cases[:1], [Failure("export", "why", tmp_path / "export"), locked], job)
    assert table_of(job, "cases")["state"].tolist() == ["failed"] * 3
    segment_all(cases[1:], [], job)
    assert table_of(job, "cases")["state"].tolist() == ["failed", "failed", "succeeded", "succeeded"]
    assert "2 failed" in page_of(job)
    assert table_of(job, "cases").loc[1, ["participant_id", "case"]].tolist() == ["sub-00"] * 2
    other = dataclasses.replace(cases[0], file=cases[1].file)  # of another place
    segment_all([other], [], job)
    assert table_of(job, "cases")["state"].tolist() == ["failed"] * 2 + ["succeeded"] * 3
    shutil.rmtree(job.out / "sub-00")
    cases[0].file.write_bytes(content)
    segment_all(cases[:1], [], job)
    again = dataclasses.replace(cases[1], folder=tmp_path / "export")
    assert table_of(job, "cases")["image"].tolist()[0] == "export"
    forget(job.out, [again])
    write_tables(job.out, find_reference(job.reference))
    assert table_of(job, "cases")["state"].tolist() == ["succeeded"] * 3


def test_a_disk_that_is_away_takes_no_results_with_it(cases, job):
    segment_all(cases, [], job)
    before = content(job.out / "sub-00")
    away = cases[0].file.rename(job.out.with_name("away.nii"))
    assert states(cases, job) == ["failed", "there", "there"]
    assert content(job.out / "sub-00") == before
    assert table_of(job, "cases")["state"].tolist() == ["failed", "succeeded", "succeeded"]
    away.rename(cases[0].file)
    assert states(cases, job) == ["there"] * 3


def test_an_image_that_changes_while_it_is_segmented_fails(cases, job, monkeypatch):
    monkeypatch.setattr(bids, "source_digest", Mock(side_effect=map(str, itertools.count())))
    (status,) = segment_all(cases[:1], [], job)
    assert "changed while" in status.reason
    assert not [path for path in (job.out / "sub-00").rglob("*") if path.is_file()]


def test_jobs_that_end_at_one_time_leave_tables_of_all(cases, job):
    write_top(job.out)
    names = [f"sub-{letter}{number}" for letter in "ab" for number in range(6)]
    with ProcessPoolExecutor(2, get_context("fork")) as pool:
        list(pool.map(_fail_all, [job.out] * 2, (names[:6], names[6:])))
    assert table_of(job, "cases")["case"].tolist() == names


def _fail_all(out, names):
    for name in names:
        keep(out, [Failure("a.nii", "why", name=name)])
        write_tables(out, find_reference("newborn"))


def test_the_results_of_another_image_are_not_overwritten(cases, job, tmp_path, save):
    segment_all(cases[:1], [], job)
    before = content(job.out / "sub-00")
    other = dataclasses.replace(cases[0], file=save(head(offset=(4, 4, 4)), tmp_path / "b" / cases[0].source))
    (status,) = segment_all([other], [], job)
    assert "another image" in status.reason
    assert content(job.out / "sub-00") == before
    echo = {"name": "sub-00_acq-te15", "beside": tmp_path / "b"}  # another person's, as far as names tell
    for changes, state in ((echo, "failed"), (echo | {"person": "0 0"}, "failed"), (echo | {"beside": None}, "done")):
        there = dataclasses.replace(cases[0], beside=tmp_path / "a")
        segment_all([there], [], dataclasses.replace(job, spacing_mm=0.9))
        assert states([dataclasses.replace(other, **changes)], job) == [state]


def test_subjects_that_differ_in_case_alone_share_no_folder(cases, job):
    first, second = (dataclasses.replace(cases[0], name=f"sub-{name}", person=name) for name in ("P1", "p1"))
    assert states([first], job) == ["done"]
    assert states([first, dataclasses.replace(second, file=cases[1].file)], job) == ["failed", "there"]


def test_one_image_under_two_names_is_looked_at(cases, job):
    assert states([cases[0], dataclasses.replace(cases[0], name="sub-07"), cases[1]], job) == ["done"] * 3
    found = table_of(job, "cases").set_index("case")
    assert found["verdict"].to_dict() == {"sub-00": "look", "sub-07": "look", "sub-01": "good"}
    assert "same image" in found["notes"]["sub-07"]


def test_an_age_that_becomes_known_is_compared_without_segmenting_again(cases, job, monkeypatch, network, capsys):
    curve = Curve((30.0, 45.0), lambda age: 0 * age + 4, lambda age: 0 * age + 0.5)
    monkeypatch.setattr(running, "find_reference", lambda word: Reference("controls", {"cortex": curve}))
    segment_all(cases, [], job)
    calls = network.call_count
    assert table_of(job, "volumes")["z"].isna().all()
    assert not (job.out / "growth.png").exists()
    aged = [dataclasses.replace(case, age_weeks=age) for case, age in zip(cases, (40.0, 24.0, None), strict=True)]
    assert states(aged, job) == ["there"] * 3
    assert network.call_count == calls
    found = table_of(job, "volumes")
    assert found["z"][0] == pytest.approx((found["volume_ml"][0] - 4) / 0.5, abs=1e-3)
    assert found["age_weeks"].tolist()[:2] == [40, 24]
    assert found["z"].isna().tolist() == [False, True, True]  # 24 weeks lie outside the curve
    assert table_of(job, "cases").set_index("case")["cortex_z"].notna().tolist() == [True, False, False]
    assert 'src="growth.png"' in page_of(job)
    segment_all(cases, [], job)  # a run that knows no ages forgets none
    assert table_of(job, "cases")["age_weeks"].tolist()[:2] == [40, 24]
    segment_all([dataclasses.replace(cases[0], age_weeks=WITHDRAWN)], [], job)
    assert table_of(job, "cases")["age_weeks"].notna().sum() == 1
    others = Reference("controls", {"cortex": curve}, frozenset({"0123456789ab"}))
    monkeypatch.setattr(running, "find_reference", lambda word: others)
    segment_all(aged, [], job)
    assert table_of(job, "cases")["age_weeks"].notna().sum() == 2
    assert table_of(job, "volumes")["z"].isna().all()
    assert "made by other weights than 'tiny'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("age", "ml", "says"),
    [
        (40.0, 425.0, ""),
        *((age, 800.0, f"not that of {age:g} weeks") for age in (40.0, 43.5)),
        (24.0, 425.0, "meant for 29 to 44"),
        (None, 800.0, ""),
        (None, 150.0, "younger fetus"),
    ],
)
def test_the_age_decides_what_is_looked_at(cases, job, age, ml, says):
    case = dataclasses.replace(cases[0], age_weeks=age)
    segment_all([case], [], job)
    path = job.out / case.record
    record = json.loads(path.read_text())
    record["Volumes_ml"]["intracranial"] = ml
    path.write_text(json.dumps(record | {"ModelAgesWeeks": [29, 44]}))
    for reference in (find_reference("newborn"), find_reference("fetus"), Reference("controls", {})):
        write_tables(job.out, reference)
        found = table_of(job, "cases")
        assert found["verdict"][0] == ("look" if says else "good")
    assert says in f"{found['notes'][0]}" if says else "weeks" not in f"{found['notes'][0]}"
