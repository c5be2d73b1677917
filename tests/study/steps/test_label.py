import shutil
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest

from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import resample_like
from segsrgan_study.baselines import methods as registry
from segsrgan_study.baselines.case import Method
from segsrgan_study.files import load_labels, save_image, write_csv
from segsrgan_study.params import read_params
from segsrgan_study.paths import Study
from segsrgan_study.pool import ProcessDiedError
from segsrgan_study.steps.data.cases import CASES, PreparedCase, case_table, prepared_cases
from segsrgan_study.steps.labels.label import baseline_case, label_all
from segsrgan_study.steps.labels.labelled import labels_path, read_runs, reasons
from tests.settings import PARAMS, thick_slices
from tests.study.baselines.phantoms import dice, image_of, labels_of, nifti

SUBJECTS = {"a": ("train", 38.0, 11.0), "b": ("train", 40.0, 12.0), "c": ("train", 44.0, 13.0)}
SUBJECTS |= {"d": ("test", 39.0, 11.5)}
BROKEN = Method("broken", "Broken", lambda: "1", {}, Mock(side_effect=ValueError("too large")))


def truth(name):
    radius = SUBJECTS[name][2]
    labels = labels_of((32, 30, 28), (radius, radius - 2, radius - 5))
    labels[0] = 4  # background: outside the skull
    return labels


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    study = Study(tmp_path_factory.mktemp("study"))
    cases = []
    for name, (split, age, _) in SUBJECTS.items():
        image = nifti(image_of(np.where(truth(name) == 4, 0, truth(name))))
        folder, low = study.work / "prepared", thick_slices(image, 6.0, "axial", "gaussian")
        images = {"hr": image, "labels": nifti(truth(name)), "low": low, "interpolated": resample_like(low, image)}
        files = {kind: save_image(one, folder / f"{name}_{kind}.nii.gz") for kind, one in images.items()}
        cases.append(PreparedCase(name=name, stem=name, split=split, age_weeks=age, **files))
    write_csv(folder / CASES, case_table(cases, folder))
    return study


def settings(methods=("majority_vote", "drawem"), **baselines):
    registration = {"spacing_mm": 3.0, "affine": [100, 50, 10], "syn": [10]}
    baselines |= {"methods": list(methods), "atlases": 2, "registration": registration}
    return read_params(PARAMS, setting="miniature", changes={"baselines": baselines})


@pytest.fixture(scope="module")
def labelled(study):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")
        patch.setitem(registry.METHODS, "broken", BROKEN)
        label_all(study, settings(methods=["majority_vote", "drawem", "broken"]))
    return study


def test_one_that_cannot_run_or_fails_is_a_row_and_stops_no_other(labelled):
    runs, facts = read_runs(labelled)
    assert runs.to_dict("records") == [
        {"subject": "d", "method": "majority_vote", "outcome": "labelled"},
        {"subject": "d", "method": "drawem", "outcome": "not run: mirtk not found"},
        {"subject": "d", "method": "broken", "outcome": "failed: ValueError: too large"},
    ]
    assert reasons(runs) == {"broken": "failed: ValueError: too large", "drawem": "not run: mirtk not found"}
    assert (facts["drawem"]["title"], facts["drawem"]["version"]) == ("DrawEM", "not found")
    assert facts["majority_vote"]["atlases"] == {"d": ["a", "b"]}  # the nearest in age
    assert facts["majority_vote"]["registration"]["spacing_mm"] == 3.0
    more = pd.DataFrame({"subject": ["a", "b"], "method": "m", "outcome": ["labelled", "failed: x"]})
    assert reasons(more) == {"m": "b failed: x"}
    costs = pd.read_csv(labelled.costs).set_index(["method", "subject"])
    assert costs.index.tolist() == [("registration", "d"), ("Majority vote", "d")]
    assert costs.loc[("registration", "d"), "seconds"] > 0
    assert "seconds" not in (labelled.results / "baselines" / "methods.json").read_text()


def test_the_label_maps_are_near_the_truth_and_nothing_is_outside_the_skull(labelled):
    found = np.asarray(load_labels(labels_path(labelled, "d", "majority_vote")).dataobj)
    assert dice(found, truth("d"), 3) > 0.8
    assert not np.any(found == 4)
    assert not labels_path(labelled, "d", "drawem").exists()


def test_a_second_run_gives_the_same_bytes_and_computes_nothing(labelled, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(registry.METHODS, "broken", BROKEN)
    vote = registry.METHODS["majority_vote"]
    monkeypatch.setitem(registry.METHODS, "majority_vote", replace(vote, label=lambda case: 1 / 0))  # never called
    files = [labels_path(labelled, "d", "majority_vote"), *sorted((labelled.results / "baselines").iterdir())]
    before = [path.read_bytes() for path in files]
    label_all(labelled, settings(methods=["majority_vote", "drawem", "broken"]))
    assert [path.read_bytes() for path in files] == before


def test_a_test_subject_is_seen_only_through_its_interpolated_image(study):
    case = baseline_case(study, settings(), *prepared_cases(study, "test"))
    high = np.asarray(nifti(image_of(np.where(truth("d") == 4, 0, truth("d")))).dataobj)
    assert case.image.shape == high.shape
    assert np.abs(np.asarray(case.image.dataobj) - high).mean() > 5
    assert [atlas.subject for atlas in case.atlases] == ["a", "b"]


def test_an_unknown_method_is_refused_before_anything_runs(study):
    with pytest.raises(UserError, match="there is no method imappa"):
        label_all(study, settings(methods=["imappa"]))


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (ProcessDiedError("processes: one was killed; run the same command again."), "one was killed; run the same"),
        (MemoryError(), "not enough memory"),
        (OSError(28, "No space left on device", "labels.npz"), "labels.npz: No space left on device; free space"),
    ],
)
def test_a_fault_of_the_machine_is_no_row_and_the_other_methods_are_done(study, tmp_path, monkeypatch, fault, says):
    computed = []
    killed = Method("killed", "Killed", lambda: "1", {}, Mock(side_effect=fault))
    monkeypatch.setitem(registry.METHODS, "killed", killed)
    last = registry.METHODS["majority_vote"]
    counted = replace(last, version=lambda: says, label=lambda case: computed.append(case) or last.label(case))
    monkeypatch.setitem(registry.METHODS, "majority_vote", counted)
    here = Study(tmp_path)
    shutil.copytree(study.work / "prepared", here.work / "prepared")
    with pytest.raises(UserError, match=f"images: 1 of 1 failed .*{says}.*run the same command again"):
        label_all(here, settings(methods=["killed", "majority_vote"]))
    assert len(computed) == 1
    with pytest.raises(UserError, match="run segsrgan baselines"):
        read_runs(here)
    monkeypatch.setitem(registry.METHODS, "killed", replace(killed, label=last.label))
    assert set(label_all(here, settings(methods=["killed", "majority_vote"]))["outcome"]) == {"labelled"}
    assert len(computed) == 1, "what was done was done again"
