"""Every faulty manifest, as the first stage of the study reads it."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.files import sha256
from segsrgan_study.params import read_params
from segsrgan_study.paths import Study
from segsrgan_study.steps.data.prepare import load_cohort, prepare
from tests.faults.fault import Fault, files_below, segsrgan, sentence_about
from tests.faults.images import head, image, tissues

ROOT = Path(__file__).parents[2]
HEADER = "cohort,subject,session,split,image,labels,mask,te_ms,tr_ms,age_weeks,site,sha256"
Lines = list[str]


def _changed(old: str, new: str, row: int = 1) -> Callable[[Lines], bytes]:
    """Change a row; row 0 is the header."""

    def make(lines: Lines) -> bytes:
        assert re.search(old, lines[row]), lines[row]
        return _joined([*lines[:row], re.sub(old, new, lines[row], count=1), *lines[row + 1 :]])

    return make


def _joined(lines: Lines) -> bytes:
    return ("\n".join(lines) + "\n").encode()


MANIFESTS = [
    Fault("empty", lambda lines: b"", "the column 'cohort' is missing"),
    Fault("header_alone", lambda lines: _joined(lines[:1]), "at least one whole row"),
    Fault("column_missing", _changed("split,", "", 0), "the column 'split' is missing"),
    Fault("column_misspelt", _changed("split", "spilt", 0), "unknown column 'spilt'"),
    Fault("column_twice", _changed("site", "split", 0), "more than once"),
    Fault("field_missing", _changed(",[^,]*$", ""), "expected 12 fields; received 11"),
    Fault("field_too_many", _changed("$", ",more"), "expected 12 fields; received 13"),
    Fault("semicolons", lambda lines: _joined(lines).replace(b",", b";").replace(b";;sha", b","), "semicolons"),
    Fault("tabs", lambda lines: _joined(lines).replace(b",", b"\t"), "tabs"),
    Fault("latin_1", lambda lines: _joined(lines).replace(b"here", "Orl\xe9ans".encode("latin-1")), "another encoding"),
    Fault("utf_16", lambda lines: _joined(lines).decode().encode("utf-16"), "another encoding"),
    Fault("binary", lambda lines: bytes(range(256)) * 20, "another encoding"),
    Fault("row_twice", lambda lines: _joined([*lines, lines[1]]), "each image once"),
    Fault("content_twice", lambda lines: _joined([*lines, lines[1].replace("sub-1", "sub-9")]), "different images"),
    Fault("subject_on_two_sides", _changed("sub-2", "sub-1", 2), "one side of train, val and test"),
    Fault("labels_of_another", _changed("mine/labels/sub-1", "mine/labels/sub-2"), "labels of this subject alone"),
    Fault("no_labels", _changed("mine/labels/sub-1.nii", ""), "labels in train, val and test"),
    Fault("unknown_split", _changed("train", "training"), "one of train, val, test, variability"),
    Fault("two_cohorts", _changed("mine", "yours", 3), "one cohort a manifest"),
    Fault("upwards", _changed("mine/images", "mine/../../images"), "without '..'"),
    Fault("absolute", _changed("mine/images", "/mine/images"), "relative to the data root"),
    Fault("of_windows", _changed("mine/images", r"C:\\images"), "forward slashes"),
    Fault("of_another_cohort", _changed("mine/images", "yours/images"), "starts with the cohort's name"),
    Fault("file_missing", _changed("images/sub-1", "images/sub-8"), "1 files are missing"),
    Fault("link_out_of_the_cohort", _changed("images/sub-1", "images/link"), "received a link to"),
    Fault("wrong_checksum", _changed("[0-9a-f]{64}", "0" * 64), "the file has other content"),
    Fault("short_checksum", _changed("[0-9a-f]{64}", "abc"), "64 lower-case hexadecimal digits"),
    Fault("one_checksum_for_two_files", _changed(";[0-9a-f]{64}", ""), "one checksum for each"),
    Fault("te_in_seconds", _changed(",156,", ",0.156,"), "a number of ms, 1 to 2000"),
    Fault("te_with_a_unit", _changed(",156,", ",156 ms,"), "a number of ms"),
    Fault("age_of_an_adult", _changed(",40,", ",4000,"), "a number of weeks"),
    Fault("name_with_a_slash", _changed("sub-1", "sub/1"), "a name of letters"),
    Fault("no_test_images", lambda lines: _joined([line for line in lines if ",test," not in line]), "split 'test'"),
]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A study whose cohort `mine` has no fault, and the lines of its manifest."""
    study = Study(tmp_path_factory.mktemp("study"))
    for name in ("params.yaml", "dvc.yaml", "notebooks/01_simulate.ipynb"):
        (study.root / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, study.root / name)
    lines = [HEADER]
    for number, split in enumerate(("train", "val", "test"), start=1):
        pair = {place: study.work / "mine" / place / f"sub-{number}.nii" for place in ("images", "labels")}
        for place, data in (("images", head() + number), ("labels", tissues())):
            pair[place].parent.mkdir(parents=True, exist_ok=True)
            nib.save(image(data, np.eye(4)), pair[place])
        names = ",".join(path.relative_to(study.work).as_posix() for path in pair.values())
        digests = ";".join(sha256(path) for path in pair.values())
        lines.append(f"mine,sub-{number},,{split},{names},,156,12000,40,here,{digests}")
    nib.save(image(), study.root / "elsewhere.nii")
    (study.work / "mine/images/link.nii").symlink_to(study.root / "elsewhere.nii")
    study.manifests.mkdir()
    (study.manifests / "mine.labels.json").write_text('{"2": 2, "3": 3}')
    return study, lines


def run_first_stage(study: Study) -> str:
    settings = read_params(study.params, cohort="mine")
    try:
        prepare(study, settings, load_cohort(study, settings))
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("fault", MANIFESTS, ids=lambda fault: fault.name)
def test_a_faulty_manifest_is_named_with_its_line(fault, good):
    study, lines = good
    study.manifest("mine").write_bytes(fault.make(lines))
    said = run_first_stage(study)
    assert re.search(fault.says, said), said
    assert "mine.csv" in said or "data/mine" in said
    assert not study.work.joinpath("prepared").exists()


def test_a_good_manifest_is_read(good):
    study, lines = good
    study.manifest("mine").write_text("\n".join(lines))
    assert run_first_stage(study) == ""
    shutil.rmtree(study.work / "prepared")


def test_the_stage_says_it_in_one_sentence(good, monkeypatch, capfd):
    """What a person sees: the sentence, the exit code 2, and no traceback from inside the notebook."""
    study, _ = good
    study.manifest("mine").unlink(missing_ok=True)
    text = study.params.read_text().replace("cohort: embedded", "cohort: mine")
    study.params.write_text(text)
    monkeypatch.chdir(study.root)
    code, said = segsrgan("notebook", "01_simulate")
    study.params.write_text(text.replace("cohort: mine", "cohort: embedded"))
    assert code == 2
    assert "segsrgan manifest" in sentence_about("mine.csv:", said)
    assert "Traceback" not in said + capfd.readouterr().err
    assert files_below(study.results) == []
