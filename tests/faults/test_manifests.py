"""Every faulty manifest, as the first stage of the study reads it."""

import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.files import sha256
from segsrgan_study.params import read_params
from segsrgan_study.paths import Study
from segsrgan_study.steps.data.prepare import load_cohort, prepare
from tests.faults.fault import files_below, segsrgan, sentence_about
from tests.faults.images import head, image
from tests.faults.labels import tissues
from tests.faults.manifests import MANIFESTS

ROOT = Path(__file__).parents[2]
HEADER = "cohort,subject,session,split,image,labels,mask,te_ms,tr_ms,age_weeks,site,sha256"


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
