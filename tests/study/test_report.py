import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from segsrgan_core.atomic import write_json
from segsrgan_study.figures import learning, methods, style
from segsrgan_study.files import write_csv
from segsrgan_study.report import build_report, write_run
from segsrgan_study.report.assumptions import assumptions_table
from segsrgan_study.report.data_card import data_card
from segsrgan_study.report.tables import Table, interval, number, p_value
from segsrgan_study.statistics import analyse
from segsrgan_study.statistics.summary import summarise, with_methods

SETTINGS = {"cohort": "embedded", "setting": "quick", "seed": 7, "training": {"epochs": 10, "thickness_mm": [3.0, 3.0]}}


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    rng, rows = np.random.default_rng(0), []
    values = {("image", "psnr"): (27, 24), ("image", "ssim"): (0.9, 0.8), ("cortex", "dice"): (0.86, 0.79)}
    values |= {("cortex", "volume_error"): (0.01, -0.1), ("white", "dice"): (0.9, 0.8)}
    for (structure, metric), means in values.items():
        for method, mean in zip(("segsrgan", "spline" if structure == "image" else "imapa"), means, strict=True):
            drawn = mean * rng.normal(1, 0.02, 6)
            rows += [("embedded", f"sub-{i}", method, structure, metric, value) for i, value in enumerate(drawn)]
    return pd.DataFrame(rows, columns=["cohort", "subject", "method", "structure", "metric", "value"])


def evaluated(scores: pd.DataFrame) -> dict:
    """What the evaluation's stage leaves as metrics.json."""
    fusion = {
        "registration": {"spacing_mm": 2.0, "syn": [30, 15]},
        "atlases": {"sub-0": ["a", "b"], "sub-1": ["a", "b"]},
    }
    methods = {
        "imapa": {"title": "IMAPA", "version": "1", "parameters": {"k": 15, "alphas": [0.0, 0.25]}, **fusion},
        "drawem": {"title": "DrawEM", "version": "not found", "parameters": {}},
    }
    return with_methods(summarise(scores), methods, {"drawem": "not run: mirtk not found"}, ["cortex", "white"])


@pytest.fixture(scope="module")
def volumes() -> pd.DataFrame:
    rng, rows = np.random.default_rng(1), []
    for patient in range(6):
        icv = 420 * np.exp(rng.normal(0, 0.1))
        true = 0.32 * icv * np.exp(rng.normal(0, 0.01))
        for te, effect in {120: 0, 200: -3, 280: -8, 360: -15}.items():
            cortex = true + effect + rng.normal()
            rows.append((f"sub-{patient}", te, 36 + patient, cortex, icv, cortex / icv, true, icv))
    columns = [
        "subject",
        "te_ms",
        "age_weeks",
        "cortex_ml",
        "icv_ml",
        "cortex_over_icv",
        "cortex_true_ml",
        "icv_true_ml",
    ]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture(scope="module")
def history() -> pd.DataFrame:
    return pd.DataFrame({"epoch": [1, 2, 3], "loss_rec": [0.3, 0.2, 0.1], "val_dice_cortex": [0.5, 0.7, 0.8]})


@pytest.fixture
def manifest() -> pd.DataFrame:
    rows = [("train", f"t{i}", 156.0) for i in range(8)] + [("test", f"e{i}", 156.0) for i in range(4)]
    rows += [("variability", f"v{i}", te) for i in range(3) for te in (120.0, 280.0)]
    frame = pd.DataFrame(rows, columns=["split", "subject", "te_ms"])
    return frame.assign(cohort="embedded", age_weeks=np.linspace(36, 44, len(frame)), tr_ms=np.nan, site="")


@pytest.fixture(scope="module")
def study(tmp_path_factory, scores, volumes, history) -> Path:
    """What a study leaves in results/, made once."""
    folder = tmp_path_factory.mktemp("study")
    write_json(folder / "evaluation" / "metrics.json", evaluated(scores))
    write_json(folder / "variability" / "metrics.json", analyse(volumes))
    write_csv(folder / "training" / "history.csv", history)
    for module, drawn in ((methods, methods.draw(scores)), (learning, learning.draw(history))):
        style.save(drawn[0], module.NAME, folder / "figures", drawn[1])
    write_json(folder / "figures" / "missing.json", {"te_overlay": "no patient has cortex masks at both TE"})
    return folder


@pytest.fixture
def results(study, tmp_path) -> Path:
    return shutil.copytree(study, tmp_path / "results")


class Page(HTMLParser):
    """Checks that tags close, and gathers addresses, anchors and text."""

    VOID = frozenset({"meta", "img", "br", "link", "input"})

    def __init__(self, text: str):
        super().__init__()
        self.open, self.sources, self.links, self.anchors, self.text = [], [], [], set(), ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        facts = dict(attrs)
        self.open += [tag] if tag not in self.VOID else []
        self.sources += [facts["src"]] if "src" in facts else []
        self.links += [facts["href"]] if "href" in facts else []
        self.anchors |= {facts["id"]} if "id" in facts else set()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text += data + " "


def test_report_is_the_same_when_built_again(results, manifest):
    first = build_report(results, manifest, SETTINGS).read_bytes()
    tables = {path.name: path.read_bytes() for path in (results / "tables").iterdir()}
    write_run(results, {"train": 301.4})  # times change nothing in the report
    assert build_report(results, manifest, SETTINGS).read_bytes() == first
    assert {path.name: path.read_bytes() for path in (results / "tables").iterdir()} == tables
    assert str(results).encode() not in first


def test_report_stands_alone(results, manifest):
    page = Page(build_report(results, manifest, SETTINGS).read_text(encoding="utf-8"))
    assert [source for source in page.sources if not source.startswith("data:image/")] == ["run.js"]
    assert all(link.startswith("#") and link[1:] in page.anchors for link in page.links)
    assert len([source for source in page.sources if source.startswith("data:image/")]) == 2


def test_report_says_what_it_is_and_what_is_not_there(results, manifest):
    text = Page(build_report(results, manifest, SETTINGS).read_text(encoding="utf-8")).text
    assert "Every image in this report is of a phantom" in text
    assert "simulated from the high-resolution images" in text
    assert "mirtk not found" in text
    assert "no patient has cortex masks at both TE" in text
    assert "the figures' stage did not make it" in text
    assert "training.thickness_mm" in text
    assert "the talk's value" not in text
    for section in ("Summary", "Question", "Data card", "Method", "Evaluation", "Parameters", "Versions", "References"):
        assert section in text
    assert "gain" in text
    assert "division by ICV lowers sd / mean" in text


def test_report_without_results_says_so(tmp_path, manifest):
    text = Page(build_report(tmp_path, manifest, SETTINGS).read_text(encoding="utf-8")).text
    assert "No stage has left results yet." in text
    for name in ("training/history.csv", "evaluation/metrics.json", "variability/metrics.json"):
        assert f"results/{name} is not there" in text
    assert not list(tmp_path.glob("tables/*"))


@pytest.mark.parametrize(("cohort", "shown"), [("dhcp", "26.96"), ("epirmex", "0.0939")])
def test_the_talks_numbers_stand_beside_its_own_cohorts_alone(cohort, shown, results, manifest, scores, volumes):
    embedded = build_report(results, manifest, SETTINGS).read_text(encoding="utf-8")
    write_json(results / "evaluation" / "metrics.json", evaluated(scores.assign(cohort=cohort)))
    report = build_report(results, manifest, {**SETTINGS, "cohort": cohort}).read_text(encoding="utf-8")
    assert "the talk&#39;s value" not in embedded
    assert shown in report
    assert "the talk&#39;s value" in report
    assert ("favours DrawEM" in report) == (cohort == "dhcp")
    assert "phantom" not in Page(report).text.replace("embedded (phantoms)", "")


def test_elsewhere_the_talks_table_stands_by_itself(results, manifest):
    build_report(results, manifest, SETTINGS)
    talk = (results / "tables" / "talk.tex").read_text()
    assert "on dHCP" in talk
    assert "0.786 (0.023)" in talk
    assert "0.786" not in (results / "tables" / "cortex.tex").read_text()


def test_methods_stand_with_what_they_are(results, manifest):
    text = Page(build_report(results, manifest, SETTINGS).read_text(encoding="utf-8")).text
    assert "DrawEM (not run: mirtk not found)" in text
    assert "alphas 0, 0.25; k 15" in text
    assert "spacing_mm 2; syn 30, 15" in text
    assert "Dice of the cortex, the best first: SegSRGAN" in text
    latex = (results / "tables" / "methods.tex").read_text()
    assert "IMAPA & 1 & 2 & alphas 0" in latex
    assert "p{0.5\\linewidth}" in latex


def test_degenerate_statistics_are_listed(results, manifest, volumes):
    write_json(results / "variability" / "metrics.json", analyse(volumes[volumes["subject"] == "sub-0"]))
    text = Page(build_report(results, manifest, SETTINGS).read_text(encoding="utf-8")).text
    assert "mixed model, cortex: needs three patients" in text


def test_every_assumption_is_shown(results, manifest):
    rows = assumptions_table(json.loads((results / "variability" / "metrics.json").read_text())).rows
    shown = {(row[0], row[2]) for row in rows}
    for analysis, assumption in (
        ("mixed model", "normal residuals"),
        ("mixed model", "equal variance of the residuals at every TE"),
        ("repeated measures", "equal variance of all differences (sphericity)"),
        ("Bland-Altman", "no trend of the difference with the mean"),
        ("Pitman-Morgan", "normal sum of the logarithms"),
        ("bootstrap of IQR / median", "little bias of the statistic"),
    ):
        assert (analysis, assumption) in shown
    bland_altman = next(row for row in rows if row[0] == "Bland-Altman" and row[2] == "normal differences")
    assert bland_altman[4] == "6"  # pairs of four TE


def test_quality_and_correction_over_te_are_shown(results, manifest, volumes):
    scored = volumes.assign(cortex_dice=0.8 - volumes["te_ms"] / 2000, psnr=26.0 - volumes["te_ms"] / 1000)
    write_json(results / "variability" / "metrics.json", analyse(scored))
    build_report(results, manifest, SETTINGS)
    scores = (results / "tables" / "scores_by_te.tex").read_text()
    assert "120 ms & 6 & 0.740 (0.000)" in scores
    assert "25.72" in scores  # PSNR at 280 ms
    table = (results / "tables" / "harmonisation.tex").read_text()
    assert "factor at TE 360 ms" in table
    assert "variation within a patient before" in table


def test_the_objective_of_this_study_is_told(results, manifest):
    training = {"lambda_rec": 20.0, "lambda_adv": 1e-3, "lambda_gp": 10.0, "lambda_dice": 0.1, "lambda_ce": 0.0}
    training |= {"adversarial_from": 0.9, "epochs": 2, "steps_per_epoch": 600, "batch": 1, "patch": 64}
    settings = {**SETTINGS, "training": training, "model": {"generator": "unet"}}
    text = Page(build_report(results, manifest, settings).read_text(encoding="utf-8")).text
    assert "a unet generator, weights L_rec 20, L_adv 0.001, gradient penalty 10, soft Dice 0.1;" in text
    assert "the critic takes part after 90% of the steps; 1,200 generator steps" in text


def test_latex_tables_use_booktabs(results, manifest):
    build_report(results, manifest, SETTINGS)
    names = {path.stem for path in (results / "tables").glob("*.tex")}
    assert {
        "image",
        "cortex",
        "tests",
        "variability",
        "mixed_model",
        "repeated_measures",
        "agreement",
        "pitman_morgan",
    } <= names
    text = (results / "tables" / "variability.tex").read_text()
    for word in ("\\toprule", "\\midrule", "\\bottomrule", "\\label{tab:variability}"):
        assert word in text
    for path in (results / "tables").glob("*.tex"):
        assert not re.search(r"(?<!\\)%", path.read_text()), path.name


def test_old_tables_do_not_stay(results, manifest):
    build_report(results, manifest, SETTINGS)
    (results / "tables" / "old.tex").write_text("old")
    build_report(results, manifest, SETTINGS)
    assert not (results / "tables" / "old.tex").exists()


def test_latex_escapes_and_signs():
    table = Table("t", "A 5 % title", "B_c.", ["a_b", "x (%)"], [["m & n", "-1.5"], ["200-120", "< 0.001"]])
    text = table.latex()
    for piece in ("a\\_b", "x (\\%)", "m \\& n", "$-$1.5", "200-120", "$<$ 0.001", "A 5 \\% title"):
        assert piece in text


def test_numbers_as_text():
    assert number(-0.0001, 2) == "0.00"
    assert number(None) == "\N{EN DASH}"
    assert interval([-1.234, 2.0], 1) == "[-1.2, 2.0]"
    assert (p_value(0.0004), p_value(0.0321), p_value(None)) == ("< 0.001", "0.032", "\N{EN DASH}")


def test_data_card_counts_subjects(manifest):
    card = dict(data_card("embedded", manifest))
    assert card["split variability"] == "3 subjects, 6 images"
    assert card["echo time"] == "120, 156, 280 ms"
    assert card["age"] == "36.0 to 44.0 weeks"
    assert card["cohort"] == "embedded (phantoms)"
    assert "sites" not in card
    own = dict(data_card("mine", manifest.assign(site="A")))
    assert (own["cohort"], own["sites"]) == ("mine", "A")


def test_run_js_holds_each_methods_time_and_memory(tmp_path):
    runs = {
        "a": {"peak_mib": 1024.0, "seconds": 58.0},
        "b": {"peak_mib": 1536.0, "seconds": 62.0},
    }  # as JSON sorts them
    costs = {"baselines": {"IMAPA": runs, "DrawEM": {}}, "evaluate": {"SegSRGAN": {"a": runs["a"]}}}
    text = write_run(tmp_path, {"train": 301.0}, costs=costs).read_text()
    shown = json.loads(text.partition("window.segsrganCosts = ")[2].rstrip(";\n"))
    assert shown == [["IMAPA", "2", "1 min 00 s (58 s to 1 min 02 s)", "1.5 GiB"], ["SegSRGAN", "1", "58 s", "1.0 GiB"]]
    table = pd.read_csv(tmp_path / "costs.csv")
    assert table.columns.tolist() == ["method", "subject", "seconds", "peak_mib"]
    assert table["subject"].tolist() == ["a", "b", "a"]
    assert table["seconds"].tolist() == [58, 62, 58]
    assert "segsrganCosts = []" in write_run(tmp_path, {"train": 301.0}).read_text()


def test_run_js_holds_times_and_hardware(tmp_path):
    text = write_run(tmp_path, {"simulate": 12.4, "train": 301.0}, {"GPU": "none"}).read_text()
    assert text.startswith("window.segsrganRun = {")
    for piece in ('"time of train": "5 min 01 s"', '"time of all stages": "5 min 13 s"', '"GPU": "none"', '"cores"'):
        assert piece in text
