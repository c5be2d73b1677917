import json
import shutil

import pandas as pd
import pytest

from segsrgan_study.ablations.collect import collect_ablations
from segsrgan_study.ablations.run import run_ablation
from segsrgan_study.params import read_params
from segsrgan_study.paths import Study
from segsrgan_study.steps.labels.label import search
from tests.miniature import clone_of_repository, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = clone_of_repository(tmp_path_factory.mktemp("fresh") / "clone")
    return folder, run("dvc", "repro", cwd=folder)


def test_every_stage_leaves_its_results(clone):
    folder, said = clone
    results = folder / "results"
    metrics = json.loads((results / "evaluation" / "metrics.json").read_text())
    assert metrics["psnr"]["spline"]["n"] == 2
    assert 0 <= metrics["dice"]["cortex"]["segsrgan"]["mean"] <= 1
    variability = json.loads((results / "variability" / "metrics.json").read_text())
    assert set(variability["sd_over_mean"]["cortex_over_icv"]) == {"120", "200", "280", "360"}
    volumes = pd.read_csv(results / "variability" / "volumes.csv")
    assert len(volumes) == 3 * 4
    assert (volumes["icv_true_ml"] > volumes["cortex_true_ml"]).all()
    for name in ("before_after", "te_effect", "methods", "networks"):
        for suffix in ("pdf", "svg", "png", "csv"):
            assert (results / "figures" / f"{name}.{suffix}").stat().st_size > 100
    report = (results / "report.html").read_text()
    assert "phantom" in report
    assert "http://" not in report.replace("http://www.w3.org", "")
    assert len(list((results / "notebooks").glob("*.ipynb"))) == 5
    assert "left" in said  # progress was shown


def test_a_second_run_has_nothing_to_do_and_nothing_is_left_half_written(clone):
    folder, _ = clone
    before = run("git", "status", "--porcelain", cwd=folder)
    assert "up to date" in run("dvc", "repro", cwd=folder)
    assert run("git", "status", "--porcelain", cwd=folder) == before
    assert [str(path) for path in folder.rglob(".part-*")] == []


@pytest.fixture
def beside(clone, tmp_path):
    """A study of its own on the clone's data: what is run by hand leaves the clone as it is."""
    folder, _ = clone
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(folder / name, tmp_path)
    for name in ("ablations", "data_manifests"):
        shutil.copytree(folder / name, tmp_path / name)
    (tmp_path / "data").symlink_to(folder / "data")
    return Study(tmp_path)


def test_a_method_is_tuned_on_training_subjects_alone(beside):
    path, chosen = search(beside, read_params(beside.params), "majority_vote")
    table = pd.read_csv(path)
    assert chosen == {}  # it has no parameters
    assert [name for name in table if name.startswith("dice_")] == ["dice_sub-01", "dice_sub-02"]
    assert 0.2 < table["dice"].item() < 0.9


def test_an_ablation_is_trained_scored_and_collected(beside):
    plan = beside.ablations.read_text()
    for old, new in {
        "seeds: [1, 2, 3]": "seeds: [1]",
        "test_cases: 2": "test_cases: 1",
        "patients: 2": "patients: 1",
        "thickness_mm: [2.0, 3.0, 4.0]": "thickness_mm: [3.0]",
        "steps_per_epoch: 400": "steps_per_epoch: 2",
        "patch: 48": "patch: 32",
    }.items():
        assert old in plan
        plan = plan.replace(old, new)
    beside.ablations.write_text(plan)
    scores = run_ablation(beside, "no_critic", 1)
    assert set(scores[scores["part"] == "thickness"]["metric"]) == {"psnr", "psnr_spline", "dice"}
    echoes = scores[scores["part"] == "echoes"]
    assert sorted(echoes["condition"].unique()) == [120, 200, 280, 360]
    assert (echoes[echoes["metric"] == "cortex_true_ml"]["value"].nunique()) == 1  # one anatomy
    metrics = collect_ablations(beside)
    assert metrics["factors"]["adversarial term"]["without"]["run"] == "no_critic"
    assert "with" not in metrics["factors"]["adversarial term"]
    assert len(metrics["not_run"]) == 7
