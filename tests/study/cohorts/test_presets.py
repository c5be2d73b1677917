import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.labels import label_mapping
from segsrgan_study.cohorts.manifest import read_manifest
from segsrgan_study.cohorts.presets import PRESETS, make_manifest
from segsrgan_study.cohorts.scan import deal, scan
from tests.settings import ROOT


@pytest.fixture
def make(tmp_path):
    """Run make_manifest on a folder beside its manifests and data root; return the manifest read again."""
    places = tmp_path / "manifests", tmp_path / "data"
    return lambda preset, folder, **choices: read_manifest(make_manifest(preset, folder, *places, **choices))


@pytest.fixture
def scanned(tmp_path, put, monkeypatch):
    """Scan a folder of images and texts (name, content)."""

    def run(preset, files, **changes):
        for name in files:
            (tmp_path / name[0]).write_text(name[1]) if isinstance(name, tuple) else put(tmp_path / name)
        monkeypatch.chdir(tmp_path)
        return scan(replace(PRESETS[preset], **changes), tmp_path)

    return run


DHCP = {"restore_T2w": (), "drawem9_dseg": range(10), "drawem87_dseg": range(88), "brain_mask": [0, 1]}


@pytest.fixture
def dhcp(tmp_path, put):
    """Six subjects as in release 3; the first was scanned twice."""
    folder = tmp_path / "dhcp"
    for number in range(6):
        for session in ("10", "20")[: 2 if number == 0 else 1]:
            place = folder / f"sub-CC{number}/ses-{session}/anat"
            for end, numbers in DHCP.items():
                put(place / f"sub-CC{number}_ses-{session}_desc-{end}.nii.gz", numbers, seed=number)
    (folder / "sub-CC0/sub-CC0_sessions.tsv").write_text("session_id\tscan_age\n10\t38+4\n20\t44\n")
    (folder / "participants.tsv").write_text("participant_id\tscan_age\nCC1\t40.2\nCC2\tn/a\n")
    return folder


def test_dhcp(make, dhcp):
    manifest = make("dhcp", dhcp, seed=3, val=1, test=2)
    assert len(manifest) == 7
    first = manifest.iloc[0]
    place = "dhcp/sub-CC0/ses-10/anat/sub-CC0_ses-10_desc-"
    assert (first.subject, first.session) == ("sub-CC0", "ses-10")
    assert (first.image, first.labels) == (place + "restore_T2w.nii.gz", place + "drawem9_dseg.nii.gz")
    assert first["mask"] == place + "brain_mask.nii.gz"
    assert len(first.sha256.split(";")) == 3
    np.testing.assert_array_equal(manifest["age_weeks"], [38.5714, 44, 40.2, *[np.nan] * 4])
    sides = manifest.groupby("subject")["split"].unique()
    assert sorted(side for (side,) in sides) == ["test", "test", "train", "train", "train", "val"]


def test_the_data_root_leads_to_the_folder(make, dhcp, tmp_path):
    make("dhcp", dhcp)
    assert (tmp_path / "data/dhcp").is_symlink()
    make("dhcp", tmp_path / "data/dhcp")  # it is there already
    dhcp.rename(tmp_path / "moved")
    with pytest.raises(UserError, match="another folder or link is there"):
        make("dhcp", tmp_path / "moved")


def test_a_fault_of_the_files_leaves_nothing(make, dhcp, put, tmp_path):
    put(dhcp / "sub-CC3/ses-10/anat/sub-CC3_ses-10_desc-brain_mask.nii.gz", [0, 1], affine=np.eye(4))
    with pytest.raises(UserError, match="the grid is not"):
        make("dhcp", dhcp)
    assert not (tmp_path / "data/dhcp").is_symlink()
    assert not (tmp_path / "manifests").exists()


def test_fetal_atlas(tmp_path):
    data = Path(os.environ.get("SEGSRGAN_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not (data / "fetal_atlas").is_dir():
        pytest.skip(f"no fetal_atlas in {data}; name its folder with SEGSRGAN_TEST_DATA")
    path = make_manifest("fetal_atlas", data / "fetal_atlas", tmp_path, data)
    assert path.read_bytes() == (ROOT / "data_manifests/fetal_atlas.csv").read_bytes()
    weeks = read_manifest(path).groupby("split")["age_weeks"].unique()
    assert sorted(weeks["test"]) == [23, 26, 29, 32]
    assert set(weeks["val"]) == {28}
    assert not set(weeks["train"]) & {23, 26, 28, 29, 32}


def alberts(ages):
    labels = ("ALBERT_01", "ALBERT_2_tissues", "ALBERT_20_tissues")
    files = [f"T2/{name}.nii.gz" for name in ("ALBERT_01", "ALBERT_2", "ALBERT_20")]
    files += [f"{place}/{name}.nii.gz" for name in labels for place in ("tissues-v3", "segmentations-v3")]
    expected = {"subject": ["ALBERT_01", "ALBERT_2", "ALBERT_20"], "age_weeks": ["44.1", "40", ""]}
    expected["labels"] = [f"alberts/tissues-v3/{name}.nii.gz" for name in labels]
    return "alberts", [*files, ("ages.csv", ages)], {"val": 0, "test": 1}, expected


PLACE = "sub-1/ses-2/anat/sub-1_ses-2_"
RELEASE_2 = [f"{PLACE}desc-restore_T2w.nii.gz", f"{PLACE}desc-drawem9_space-T2w_dseg.nii.gz"]
FREE = ["P003/TE_120.nii.gz", "P003/ax_te200ms_tr5000.nii.gz", "P10_axial.nii", "P10_te280.nii"]
FREE += [("P10_axial.json", '{"EchoTime": 0.36, "RepetitionTime": 5}')]
FREE += [("meta.csv", "image,subject,age_weeks,site\nTE_120.nii.gz,,32.5,Lyon\nP10_axial.nii,P10,,\n")]
KNOWN = {"subject": ["P003", "P003", "P10", "P10"], "te_ms": ["120", "200", 360, "280"]}
KNOWN |= {"tr_ms": ["", "5000", 5000, ""], "age_weeks": ["32.5", "", "", ""]}
KNOWN |= {"site": ["Lyon", "", "", ""], "split": ["variability"] * 4}
SITES = ["images/site1_P1_T2w.nii.gz", "images/site1_P2_T2w.nii.gz", "labels/site1_P2_dseg_v3.nii.gz"]
OF_P2 = {"labels": ["", f"folder/{SITES[2]}"]}  # labels of another subject are never taken
OURS = ["a.nii", "sub-b_T2w.nii", "c.nii"]
SPLIT = [*OURS, ("mine.csv", "subject,split\na,test\nb,train\n")]
WRONG_SPLIT = [*OURS, ("mine.csv", "subject,split\na,test\na,train\nb,tset\nd,val\n")]
TWICE = ["a/x_te120.nii", "b/x_te120.nii", ("meta.csv", "image,te_ms\nx_te120.nii,120\nno.nii,3\n")]
THREE_COLUMNS = ["T2/A_1.nii", ("ages.csv", "id,birth,scan\nA_1,35,44.1\n")]


@pytest.mark.parametrize(
    ("preset", "files", "changes", "expected"),
    [
        ("dhcp", RELEASE_2, {"split": "test"}, {"labels": [f"dhcp/{RELEASE_2[1]}"]}),
        alberts("ALBERT_01,44.1\nALBERT_2,40\n"),
        alberts("subject;age\nALBERT_2;40\nALBERT_01;44.1\n\n"),
        alberts("age id\n44.1 1\n40 2\n41 7\n"),
        ("epirmex", FREE, {"metadata": "meta.csv"}, KNOWN),
        ("epirmex", [f"{PLACE}acq-te120_T2w.nii", f"{PLACE}T1w.nii"], {}, {"session": ["ses-2"], "te_ms": ["120"]}),
        ("folder", SITES, {"split": "test"}, OF_P2),
        ("folder", SPLIT, {"split": "mine.csv"}, {"subject": ["a", "sub-b"], "split": ["test", "train"]}),
    ],
)
def test_scan(scanned, preset, files, changes, expected):
    frame = scanned(preset, files, **changes).astype(object).fillna("")
    assert {column: frame[column].tolist() for column in expected} == expected


@pytest.mark.parametrize(
    ("preset", "files", "changes", "expected"),
    [
        ("alberts", THREE_COLUMNS, {}, "line 2: expected A_1 and one age"),
        ("epirmex", TWICE, {"metadata": "meta.csv"}, r"line 2: .* received 2\n- line 3: .* received 0"),
        ("epirmex", ["a/x_te120.nii", ("a/x_te120.json", "{")], {}, "expected a JSON file with"),
        ("folder", [*SITES, "labels/site1_P2_dseg_v4.nii.gz"], {}, "several files belong to it"),
        ("folder", OURS, {"split": "tset"}, "'tset' is not one of"),
        ("folder", WRONG_SPLIT, {"split": "mine.csv"}, r"3: 'a' is in test .*\n.* 4: 'tset' .*\n.* 5: 'd' is not"),
    ],
)
def test_scan_refuses(scanned, preset, files, changes, expected):
    with pytest.raises(UserError, match=expected):
        scanned(preset, files, **changes)


def test_any_folder(make, put, tmp_path):
    folder = tmp_path / "mine"
    for seed, name in enumerate(("anna", "bert", "cleo")):
        put(folder / f"{name}/t2.nii.gz", seed=seed)
        put(folder / f"{name}/t2_seg.nii.gz", [0, 3, 7])
    (tmp_path / "map.yaml").write_text("3: cortex\n7: 3\n")
    globs = {"image": ["*/t2.nii*"], "labels": ["*/t2_seg.nii*"]}
    choices = {"globs": globs, "name": "hospital", "mapping": tmp_path / "map.yaml"}
    manifest = make("folder", folder, test="bert,", val=0, **choices)
    assert manifest[["subject", "split"]].values.tolist() == [["anna", "train"], ["bert", "test"], ["cleo", "train"]]
    assert manifest["labels"][0] == "hospital/anna/t2_seg.nii.gz"
    assert json.loads((tmp_path / "manifests/hospital.labels.json").read_text()) == {"0": 0, "3": 2, "7": 3}
    assert label_mapping("hospital", tmp_path / "manifests") == {0: 0, 3: 2, 7: 3}


def test_deal():
    subjects = [f"sub-{number}" for number in range(40)]
    sides = deal(subjects, 0, 0.1, 8)
    assert sides == deal(subjects[::-1], 0, "0.1", "8")
    assert sides != deal(subjects, 1, 0.1, 8)
    assert [list(sides.values()).count(side) for side in ("train", "val", "test")] == [28, 4, 8]
    named = deal(subjects, 0, "3,", "sub-1,2")
    assert {name for name, side in named.items() if side == "test"} == {"sub-1", "sub-2"}
    assert [name for name, side in named.items() if side == "val"] == ["sub-3"]


def test_label_mapping_goes_by_the_cohort(tmp_path):
    assert label_mapping("embedded", tmp_path) == {number: number for number in range(10)}
    assert label_mapping("fetal_atlas", tmp_path)[5] == 2
    with pytest.raises(UserError, match="'nowhere' is missing"):
        label_mapping("nowhere", tmp_path)


@pytest.mark.parametrize(
    ("preset", "choices", "expected"),
    [
        ("dhpc", {}, "'dhpc' is not one of dhcp"),
        ("folder", {}, "a name of your own"),
        ("folder", {"name": "embedded"}, "a name of your own"),
        ("folder", {"name": "../x"}, "not of letters"),
        ("dhcp", {"globs": {"image": ["../*.nii"]}}, "without '..'"),
        ("dhcp", {}, "no image is named"),
        ("folder", {"name": "mine", "names": "("}, "not a regular expression"),
        ("folder", {"name": "mine", "names": "(?P<patient>.)"}, "groups .* called subject, session"),
        ("folder", {"name": "mine", "val": 0, "test": "sub-x,"}, "test: 'sub-x' is not there"),
        ("folder", {"name": "mine", "val": "a,", "test": "a,"}, "is in test already"),
        ("folder", {"name": "mine", "val": 1, "test": 2}, "nobody to train on"),
        ("folder", {"name": "mine", "val": 0, "test": 4}, "a count up to 3"),
        ("folder", {"name": "mine", "val": 0, "test": 1.5}, "a count up to 3"),
        ("folder", {"name": "mine", "val": -1, "test": 0}, "a count up to 3"),
        ("folder", {"name": "mine", "mapping": "faulty.yaml"}, r"3 faults.*\n.*cortex: 2.*\n.*1: bone .*\n.*2: 12 is"),
        ("folder", {"name": "mine", "mapping": "list.yaml"}, "not a mapping"),
        ("folder", {"name": "mine", "mapping": "cut.yaml"}, "not YAML or JSON"),
    ],
)
def test_make_manifest_refuses(make, tmp_path, monkeypatch, preset, choices, expected):
    for name, text in {"faulty": "cortex: 2\n1: bone\n2: 12\n", "list": "[1, 2]", "cut": "{1: "}.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    for name in ("a", "b", "c") if "name" in choices else ():
        (tmp_path / f"{name}.nii").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=expected):
        make(preset, tmp_path, **choices)
    with pytest.raises(UserError, match="this is no folder"):
        make("dhcp", tmp_path / "no")
