import json
import shutil
import sys

import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.verify import compare, table, verify
from tests.miniature import run

STAGE = """
from pathlib import Path
import yaml
seed = yaml.safe_load(Path("params.yaml").read_text())["seed"]
for name, text in {
    "results/evaluation/per_subject.csv": f"metric,value\\ndice,{0.8 + 7 * seed / 1000}\\n",
    "results/training/environment.json": '{"cores": 2}',
    "data_manifests/embedded.csv": "subject\\nsub-01\\n",
}.items():
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)
"""
DVC_YAML = f"""
stages:
  train:
    cmd: {sys.executable} stage.py
    params: [seed]
    deps: [stage.py]
    outs:
      - results/evaluation: {{cache: false}}
      - results/training/environment.json: {{cache: false}}
      - data_manifests/embedded.csv: {{cache: false}}
"""
SCORES = "results/evaluation/per_subject.csv"


def commit(folder):
    run("git", "add", "-A", cwd=folder)
    run("git", "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-q", "-m", "results", cwd=folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("toy")
    for name, text in {"stage.py": STAGE, "dvc.yaml": DVC_YAML, "params.yaml": "seed: 3\n"}.items():
        (root / name).write_text(text)
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "repro", "-q"]):
        run(*command, cwd=root)
    commit(root)
    return root


def test_an_untouched_study_is_identical(made, tmp_path):
    found = verify(made, tmp_path / "clones")
    assert [one.verdict for one in found] == ["identical"] * 4
    assert table(found) == "4 files identical: the same bytes"
    assert run("git", "status", "--porcelain", cwd=tmp_path / "clones/rerun") == ""


@pytest.mark.parametrize(("name", "old", "new"), [(SCORES, "0.821", "0.921"), ("params.yaml", "3", "4")])
def test_what_was_changed_by_hand_is_caught(made, tmp_path, name, old, new):
    root = shutil.copytree(made, tmp_path / "study")
    (root / name).write_text((root / name).read_text().replace(old, new))
    commit(root)
    found = verify(root, tmp_path / "clones")
    assert next(one.verdict for one in found if one.file == SCORES) == "different"
    assert f"| {SCORES} | different | line 2: dice" in table(found)


def test_a_stage_that_fails_and_a_folder_that_will_not_do_are_told(made, tmp_path):
    root = shutil.copytree(made, tmp_path / "study")
    (root / "stage.py").write_text("1 / 0")
    commit(root)
    with pytest.raises(UserError, match=r"`dvc repro .*` failed in"):
        verify(root, tmp_path / "clones")
    with pytest.raises(UserError, match="is not empty"):
        verify(made, tmp_path)
    with pytest.raises(UserError, match="is not a git repository"):
        verify(tmp_path, tmp_path / "others")


TABLE = """cohort,subject,method,structure,metric,value
embedded,sub-10,segsrgan,cortex,dice,0.812824
embedded,sub-10,segsrgan,cortex,ece,0.0051443
embedded,sub-10,segsrgan,image,psnr,25.9017
embedded,sub-10,spline,image,psnr,24.1235
"""
FILES = {
    SCORES: TABLE,
    "results/variability/volumes.csv": "subject,te_ms,cortex_ml\nsub-p01,120,107.175\n",
    "results/training/history.csv": "epoch,loss_rec,val_score\n1,0.07,0.69\n",
    "results/tables/image.tex": "PSNR & 25.90 (0.24) & 24.12 \\\\\n",
    "data_manifests/embedded.csv": "subject,split\nsub-01,train\n",
}


@pytest.fixture
def pair(tmp_path):
    """Two clones with the same results, the rerun on a machine with more cores."""
    for clone, cores in (("committed", 2), ("rerun", 4)):
        facts = {"results/training/environment.json": json.dumps({"cores": cores})}
        for name, text in {**FILES, **facts, ".gitignore": "results/costs.csv\n"}.items():
            (tmp_path / clone / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / clone / name).write_text(text)
    run("git", "init", "-q", cwd=tmp_path / "rerun")
    return tmp_path / "committed", tmp_path / "rerun"


@pytest.mark.parametrize(
    ("name", "old", "new", "verdict"),
    [
        (SCORES, "0.812824", "0.802", "within"),
        (SCORES, "0.812824", "0.79", "different"),
        (SCORES, "0.0051443", "0.0059999", "within"),
        (SCORES, "25.9017", "26.3", "within"),
        (SCORES, "25.9017", "26.5", "different"),
        (SCORES, "24.1235", "24.1236", "within"),
        (SCORES, "24.1235", "24.13", "different"),  # no training changes the spline
        (SCORES, "sub-10,spline", "sub-11,spline", "different"),
        (SCORES, "25.9017", "nan", "different"),
        (SCORES, "embedded,sub-10,spline,image,psnr,24.1235\n", "", "different"),
        ("results/variability/volumes.csv", "107.175", "109", "within"),
        ("results/variability/volumes.csv", "107.175", "111", "different"),
        ("results/variability/volumes.csv", ",120,", ",121,", "different"),
        ("results/training/history.csv", "0.07", "0.2", "within"),
        ("results/training/history.csv", "0.69", "0.6", "different"),
        ("results/tables/image.tex", "25.90", "26.30", "follows"),
        ("data_manifests/embedded.csv", "train", "test", "different"),
    ],
)
def test_on_another_machine_tables_have_tolerances_and_on_the_same_none(pair, name, old, new, verdict):
    assert old in FILES[name]
    (pair[1] / name).write_text(FILES[name].replace(old, new))
    assert {one.file: one.verdict for one in compare(*pair)}[name] == verdict
    shutil.copy(pair[0] / "results/training/environment.json", pair[1] / "results/training")
    assert {one.file: one.verdict for one in compare(*pair)}[name] == "different"


def test_missing_and_new_files_are_caught_and_ignored_ones_are_not(pair):
    run("git", "add", "-A", cwd=pair[1])
    (pair[1] / SCORES).unlink()
    (pair[1] / "results/new.csv").touch()
    (pair[1] / "results/costs.csv").touch()
    found = {one.file: one.detail for one in compare(*pair) if one.verdict == "different"}
    assert found == {SCORES: "not in the rerun", "results/new.csv": "only in the rerun"}
