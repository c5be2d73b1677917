import json

import pytest

from segsrgan_study.own_images.failures import FOLDER
from segsrgan_study.own_images.run import segment_all
from tests.study.own_images.test_run import table_of

CHANGES = [
    {"Verdict": "exclude"},
    {"AgeWeeks": "40"},
    {"FilesSha256": []},
    {"FilesSha256": {"anat/gone.nii.gz": "0"}},
    {"Weights": {}},
    {"Sources": []},
    {"Volumes_ml": {"cortex": None}},
    {"Quality": {"snr": "high"}},
    {"Intervals_ml": {"cortex": [1]}},
]


def table(job, name="cases"):
    return table_of(job, name).set_index("case")


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_record_that_was_changed_fails_alone_until_its_image_is_segmented_again(cases, job, change, capsys):
    segment_all(cases[:2], [], job)
    path = job.out / cases[0].record
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    segment_all(cases[1:2], [], job)
    assert "sub-00_desc-segsrgan_dseg.json: the record" in capsys.readouterr().err
    assert table(job)["state"].to_dict() == {"sub-00": "failed", "sub-01": "succeeded"}
    assert set(table(job, "volumes").index) == {"sub-01"}
    segment_all(cases[:1], [], job)
    assert set(table(job)["state"]) == {"succeeded"}


@pytest.mark.parametrize("text", ["[]", "{", '{"case": ""}'])
def test_a_failure_that_was_changed_is_told(cases, job, text):
    segment_all(cases[:1], [], job)
    (job.out / FOLDER / "aa.json").write_text(text)
    segment_all(cases[:1], [], job)
    assert table(job)["reason"].tolist()[0] == ".failures/aa.json is not of this program, or was changed; remove it"


def test_a_folder_of_results_may_be_a_link(cases, job, tmp_path):
    segment_all(cases[:1], [], job)
    folder = (job.out / cases[0].record).parent
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    segment_all(cases[:1], [], job)
    assert set(table(job, "volumes").index) == {"sub-00"}
