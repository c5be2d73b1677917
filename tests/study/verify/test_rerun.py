"""`segsrgan verify` on a toy study with one stage, in a git repository of its own."""

import json
import shutil
import subprocess
import sys

import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.paths import Study
from segsrgan_study.verify.rerun import table, verify
from tests.toy import DVC, commit, repository, run

STAGE = """
import json
from pathlib import Path

import yaml
seed = yaml.safe_load(Path("params.yaml").read_text())["seed"]
factor = int(Path("segsrgan_core/losses.py").read_text())
for name, text in {
    "results/evaluation/per_subject.csv": f"metric,value\\ndice,{0.8 + seed * factor / 1000}\\n",
    "results/training/environment.json": json.dumps({"cores": 2}),
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
    deps: [stage.py, segsrgan_core/losses.py]
    outs:
      - results/evaluation: {{cache: false}}
      - results/training/environment.json: {{cache: false}}
      - data_manifests/embedded.csv: {{cache: false}}
"""
SCORES = "results/evaluation/per_subject.csv"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = repository(
        tmp_path_factory.mktemp("toy"),
        {"stage.py": STAGE, "dvc.yaml": DVC_YAML, "params.yaml": "seed: 3\n", "segsrgan_core/losses.py": "7"},
    )
    run(root, DVC, "repro", "-q")
    commit(root)
    return root


@pytest.fixture
def study(made, tmp_path):
    return Study(shutil.copytree(made, tmp_path / "study"))


def test_an_untouched_study_is_identical(study, tmp_path):
    verdict = verify(study, tmp_path / "clone")
    assert verdict.holds
    assert {one.verdict for one in verdict.differences} == {"identical"}
    assert verdict.causes == []
    assert "4 files are identical" in table(verdict)
    assert subprocess.check_output(["git", "status", "--porcelain"], cwd=tmp_path / "clone/rerun", text=True) == ""


@pytest.mark.parametrize(
    ("name", "old", "new", "cause"),
    [
        (SCORES, "0.821", "0.921", "edited: results/evaluation is not what its stage wrote (stage train)"),
        ("params.yaml", "3", "4", "parameter: seed changed after the results were made (stage train)"),
        ("segsrgan_core/losses.py", "7", "8", "code: segsrgan_core/losses.py changed after the results were made"),
    ],
)
def test_what_was_changed_by_hand_is_caught_with_its_cause(study, tmp_path, name, old, new, cause):
    path = study.root / name
    path.write_text(path.read_text().replace(old, new))
    commit(study.root)
    verdict = verify(study, tmp_path / "clone")
    assert not verdict.holds
    assert [one.file for one in verdict.differences if one.verdict == "different" and one.file != "dvc.lock"] == [
        SCORES
    ]
    assert verdict.causes[0].startswith(cause)
    assert f"| {SCORES} | different |" in table(verdict)


def test_another_machine_is_a_cause_and_has_tolerances(study, tmp_path):
    """The record of the committed results says four cores, and their Dice is a little lower."""
    (study.root / "results/training/environment.json").write_text(json.dumps({"cores": 4}))
    (study.root / SCORES).write_text("metric,value\ndice,0.815\n")
    commit(study.root)
    verdict = verify(study, tmp_path / "clone")
    assert "hardware: cores 4 to 2" in verdict.causes
    assert {one.file: one.verdict for one in verdict.differences}[SCORES] == "within"
    assert verdict.holds


def test_what_is_not_committed_is_left_out_and_told(study, tmp_path):
    (study.root / SCORES).write_text("metric,value\ndice,0.9\n")
    verdict = verify(study, tmp_path / "clone")
    assert verdict.holds
    assert verdict.notes[0] == "1 files here are not committed and were left out"


def test_a_stage_that_fails_is_told(study, tmp_path):
    (study.root / "segsrgan_core/losses.py").write_text("no number")
    commit(study.root)
    with pytest.raises(UserError, match=r"dvc repro .*: expected it to finish"):
        verify(study, tmp_path / "clone")


def test_a_folder_that_is_not_empty_is_refused(study, tmp_path):
    (tmp_path / "clone").mkdir()
    (tmp_path / "clone" / "mine.txt").touch()
    with pytest.raises(UserError, match="expected an empty folder"):
        verify(study, tmp_path / "clone")


def test_a_folder_without_git_is_refused(tmp_path):
    with pytest.raises(UserError, match="expected a git repository"):
        verify(Study(tmp_path), tmp_path / "clone")
