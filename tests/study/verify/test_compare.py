"""The comparison on small folders, with negative controls: whatever is changed is caught and told."""

import json
import shutil

import numpy as np
import pytest

from segsrgan_study.verify.compare import compare_results

SCORES = """cohort,subject,method,structure,metric,value
embedded,sub-10,segsrgan,cortex,dice,0.812824
embedded,sub-10,segsrgan,image,psnr,25.9017
embedded,sub-10,spline,image,psnr,24.1235
"""
MANIFEST = "cohort,subject,split,image,sha256\nembedded,sub-01,train,embedded/sub-01.nii.gz,46e08f\n"
FILES = {
    "results/evaluation/per_subject.csv": SCORES,
    "results/evaluation/metrics.json": json.dumps({"dice": {"mean": 0.811325, "ci95": [0.80635, 0.816506]}}),
    "results/variability/volumes.csv": "subject,te_ms,cortex_ml\nsub-p01,120,107.175\n",
    "results/training/history.csv": "epoch,loss_rec,val_score\n1,0.07,0.69\n",
    "results/tables/image.tex": "PSNR & 25.90 (0.24) & 24.12 \\\\\n",
    "results/notebooks/01.ipynb": '{"image/png": "iVBORw0KG", "text": "mean 3.14"}',
    "results/report.html": '<p>Dice 0.81</p><img src="data:image/png;base64,iVBORw0KG">',
    "data_manifests/embedded.csv": MANIFEST,
    "dvc.lock": "stages: {train: {outs: [{path: model, md5: aa}]}}\n",
}
WEIGHTS = {"generator/0": np.arange(8, dtype=np.float32), "generator/1": np.ones(3, np.float32)}


@pytest.fixture
def pair(tmp_path):
    """Two equal copies of a small study: committed and rerun."""
    first = tmp_path / "committed"
    for name, text in FILES.items():
        (first / name).parent.mkdir(parents=True, exist_ok=True)
        (first / name).write_text(text)
    (first / "results/figures").mkdir()
    (first / "results/figures/a.png").write_bytes(b"\x89PNG\xff\x00")
    (first / "results/training/model").mkdir()
    np.savez(first / "results/training/model/generator.npz", **WEIGHTS)
    shutil.copytree(first, tmp_path / "rerun")
    return first, tmp_path / "rerun"


def change(folder, name, old, new):
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


def found(pair, same_environment=True):
    """Return the files that are not identical: name to verdict and detail."""
    differences = compare_results(*pair, same_environment)
    return {one.file: (one.verdict, one.detail) for one in differences if one.verdict != "identical"}


def test_equal_copies_are_identical_file_by_file(pair):
    assert [one.verdict for one in compare_results(*pair)] == ["identical"] * (len(FILES) + 2)


def test_what_differs_between_machines_is_not_compared(pair):
    (pair[0] / "results/run.js").write_text("5 minutes")
    assert found(pair) == {}


@pytest.mark.parametrize("name", FILES)
def test_a_changed_number_is_caught_in_every_kind_of_file(pair, name):
    digit = next(character for character in FILES[name] if character in "6841") if name != "dvc.lock" else "aa"
    change(pair[1], name, digit, "9")
    assert found(pair)[name][0] == "different"


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_caught(pair, name):
    (pair[1] / name).unlink()
    assert found(pair) == {name: ("different", "not in the rerun")}


def test_a_file_that_nobody_committed_is_caught(pair):
    (pair[1] / "results/tables/new.tex").write_text("1")
    assert found(pair) == {"results/tables/new.tex": ("different", "only in the rerun")}


def test_a_changed_weight_is_caught_and_measured(pair):
    other = {**WEIGHTS, "generator/1": WEIGHTS["generator/1"] + np.float32(0.25)}
    np.savez(pair[1] / "results/training/model/generator.npz", **other)
    assert found(pair) == {
        "results/training/model/generator.npz": ("different", "1 of 2 arrays, by up to 0.25"),
    }


@pytest.mark.parametrize("changed", ["train,embedded", "sub-02,train", "46e08e"])
def test_a_changed_row_of_a_manifest_is_caught_on_any_machine(pair, changed):
    old = {"train,embedded": "train,embedded/", "sub-02,train": "sub-01,train", "46e08e": "46e08f"}[changed]
    new = {"train,embedded": "test,embedded/"}.get(changed, changed)
    change(pair[1], "data_manifests/embedded.csv", old, new)
    assert found(pair, same_environment=False)["data_manifests/embedded.csv"][0] == "different"


def test_how_far_is_told(pair):
    change(pair[1], "results/evaluation/metrics.json", "0.811325", "0.821325")
    change(pair[1], "results/tables/image.tex", "PSNR", "SSIM")
    change(pair[1], "results/notebooks/01.ipynb", "iVBORw0KG", "iVBORw0KX")
    change(pair[1], "results/report.html", "<p>", "<p>\n<p>")
    (pair[1] / "results/figures/a.png").write_bytes(b"\x89PNG\xff\x01")
    details = {name.rpartition("/")[2]: detail for name, (_, detail) in found(pair).items()}
    assert details == {
        "metrics.json": "1 of 4 numbers, most 0.811325 to 0.821325 (0.012)",
        "image.tex": "other words, first in line 1",
        "01.ipynb": "other pictures, the same text",
        "report.html": "other words, first in line 1",
        "a.png": "other bytes (a picture: its numbers stand in the CSV of the same name)",
    }


@pytest.mark.parametrize(
    ("name", "old", "new", "verdict"),
    [
        ("results/evaluation/per_subject.csv", "0.812824", "0.802", "within"),
        ("results/evaluation/per_subject.csv", "0.812824", "0.79", "different"),
        ("results/evaluation/per_subject.csv", "25.9017", "26.3", "within"),
        ("results/evaluation/per_subject.csv", "25.9017", "26.5", "different"),
        ("results/evaluation/per_subject.csv", "24.1235", "24.1236", "within"),
        ("results/evaluation/per_subject.csv", "24.1235", "24.13", "different"),  # no training changes the spline
        ("results/evaluation/per_subject.csv", "sub-10,spline", "sub-11,spline", "different"),
        ("results/evaluation/per_subject.csv", "25.9017", "nan", "different"),
        ("results/variability/volumes.csv", "107.175", "109", "within"),
        ("results/variability/volumes.csv", "107.175", "111", "different"),
        ("results/variability/volumes.csv", ",120,", ",121,", "different"),
        ("results/training/history.csv", "0.07", "0.2", "within"),
        ("results/training/history.csv", "0.69", "0.6", "different"),
        ("results/tables/image.tex", "25.90", "26.30", "follows"),
        ("results/evaluation/metrics.json", "0.811325", "0.8", "follows"),
    ],
)
def test_on_another_machine_the_judged_tables_have_tolerances(pair, name, old, new, verdict):
    change(pair[1], name, old, new)
    assert found(pair)[name][0] == "different"
    assert found(pair, same_environment=False)[name][0] == verdict


def test_what_is_outside_its_tolerance_is_named(pair):
    change(pair[1], "results/evaluation/per_subject.csv", "0.812824", "0.5")
    _, detail = found(pair, same_environment=False)["results/evaluation/per_subject.csv"]
    assert detail == "line 2: dice 0.812824 to 0.5, outside its tolerance"


def test_rows_that_are_missing_are_outside(pair):
    change(pair[1], "results/evaluation/per_subject.csv", "embedded,sub-10,spline,image,psnr,24.1235\n", "")
    _, detail = found(pair, same_environment=False)["results/evaluation/per_subject.csv"]
    assert detail == "other rows or columns"


def test_weights_of_another_shape_are_told(pair):
    np.savez(pair[1] / "results/training/model/generator.npz", a=np.ones(2))
    assert found(pair)["results/training/model/generator.npz"][1] == "other arrays"


def test_more_lines_are_told(pair):
    text = (pair[1] / "results/tables/image.tex").read_text()
    (pair[1] / "results/tables/image.tex").write_text(text + "\n")
    assert found(pair)["results/tables/image.tex"][1] == "more or fewer lines"
