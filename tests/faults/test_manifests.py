import shutil

import nibabel as nib
import numpy as np
import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.schema import COLUMNS
from segsrgan_study.files import sha256
from segsrgan_study.params import read_params
from segsrgan_study.paths import Study
from segsrgan_study.steps.data.prepare import load_cohort, prepare
from tests.faults.fault import changed, each, fault, files_below, segsrgan, sentence_about
from tests.faults.images import head, image, tissues
from tests.settings import ROOT

HEADER = ",".join(COLUMNS[:-2])
DIGEST = "[0-9a-f]{64}"


def _row_again(text: str, old: str, new: str) -> bytes:
    """Add the first row once more, changed."""
    return text.encode() + changed(text.splitlines(keepends=True)[1], old, new)


# Each gets the text of a manifest without a fault and returns the bytes of a faulty one.
MANIFESTS = [
    fault("empty", "the column 'cohort' is missing", lambda text: b""),
    fault("header_alone", "no whole row", lambda text: f"{HEADER}\n".encode()),
    fault("column_missing", "the column 'split' is missing", changed, "split,", ""),
    fault("column_misspelt", "unknown column 'spilt'", changed, "split", "spilt"),
    fault("column_twice", "more than once", changed, "site", "split"),
    fault("field_missing", "11 fields, where the header has 12", changed, ",[^,]*$", ""),
    fault("field_too_many", "13 fields, where the header has 12", changed, "$", ",more"),
    fault("semicolons", "semicolons", lambda text: text.replace(",", ";").encode()),
    fault("tabs", "tabs", lambda text: text.replace(",", "\t").encode()),
    fault("latin_1", "another encoding", changed, "here", "Orl\xe9ans", "latin-1"),
    fault("utf_16", "another encoding", changed, "here", "there", "utf-16"),
    fault("row_twice", "each image once", _row_again, "mine", "mine"),
    fault("content_twice", "different images", _row_again, "sub-1(.*)sub-1(.*)sub-1", r"sub-9\1sub-9\2sub-9"),
    fault("subject_on_two_sides", "one side of train, val and test", changed, "sub-2", "sub-1"),
    fault("subject_in_other_letters", "one side of train, val and test", changed, "mine,sub-2", "mine,SUB-1"),
    fault("labels_of_another", "labels of this subject alone", changed, "labels/sub-1", "labels/sub-2"),
    fault("no_labels", "labels in train, val and test", changed, "mine/labels/sub-1.nii", ""),
    fault("two_cohorts", "one cohort a manifest", changed, "mine,sub-3", "yours,sub-3"),
    fault("upwards", "without '..'", changed, "mine/images", "mine/../../images"),
    fault("absolute", "relative to the data root", changed, "mine/images", "/mine/images"),
    fault("of_windows", "forward slashes", changed, "mine/images", r"C:\\images"),
    fault("of_a_windows_drive", "relative to the data root", changed, "mine/images", "C:/images"),
    fault("of_another_cohort", "starts with the cohort's name", changed, "mine/images", "yours/images"),
    fault("labels_of_another_cohort", "labels: .* starts with the cohort's", changed, "mine/labels", "yours/labels"),
    fault("file_missing", "1 files are missing", changed, "images/sub-1", "images/sub-8"),
    fault("link_out_of_the_cohort", "the link to .* leads out", changed, "images/sub-1", "images/link"),
    fault("wrong_checksum", "the file has other content", changed, DIGEST, "0" * 64),
    fault("short_checksum", "64 lower-case hexadecimal digits", changed, DIGEST, "abc"),
    fault("one_checksum_for_two_files", "one checksum for each", changed, f";{DIGEST}", ""),
    fault("te_in_seconds", "a number of ms, 1 to 2000", changed, ",156,", ",0.156,"),
    fault("te_with_a_unit", "a number of ms", changed, ",156,", ",156 ms,"),
    fault("te_nan", "a number of ms", changed, ",156,", ",nan,"),
    fault("no_te_in_variability", "an echo time in variability", changed, "test(.*),156,", r"variability\1,,"),
    fault("age_of_an_adult", "a number of weeks", changed, ",40,", ",4000,"),
    fault("age_with_a_comma", "a number of weeks", changed, ",40,", ',"40,5",'),
    fault("name_with_a_slash", "a name of letters", changed, "sub-1", "sub/1"),
    fault("no_test_images", "split 'test'", changed, "mine,sub-3.*\n", ""),
]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A study whose cohort `mine` has no fault, and the text of its manifest."""
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
    return study, "\n".join(lines) + "\n"


@each(MANIFESTS)
def test_a_faulty_manifest_is_named_with_its_line(fault, good):
    study, text = good
    settings = read_params(study.params, cohort="mine")
    study.manifest("mine").write_bytes(fault.make(text))
    with pytest.raises(UserError, match=fault.says) as caught:
        prepare(study, settings, load_cohort(study, "mine"))
    assert "mine.csv" in str(caught.value) or "data/mine" in str(caught.value)
    assert not study.work.joinpath("prepared").exists()


def test_the_stage_says_it_in_one_sentence(good, monkeypatch, capfd):
    study, _ = good
    study.manifest("mine").unlink(missing_ok=True)
    text = study.params.read_text().replace("cohort: embedded", "cohort: mine")
    study.params.write_text(text)
    monkeypatch.chdir(study.root)
    said = segsrgan("notebook", "01_simulate", code=2)
    study.params.write_text(text.replace("cohort: mine", "cohort: embedded"))
    assert "segsrgan manifest" in sentence_about("mine.csv:", said)
    assert "Traceback" not in said + capfd.readouterr().err
    assert files_below(study.results) == []
