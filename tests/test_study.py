"""The whole study in miniature, in a fresh clone, as `make repro` runs it."""

import json

import pandas as pd
import pytest

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


def test_a_second_run_has_nothing_to_do(clone):
    folder, _ = clone
    before = run("git", "status", "--porcelain", cwd=folder)
    said = run("dvc", "repro", cwd=folder)
    assert "up to date" in said
    assert run("git", "status", "--porcelain", cwd=folder) == before


def test_no_stage_leaves_anything_half_written(clone):
    folder, _ = clone
    assert [str(p) for p in folder.rglob(".part-*")] == []
