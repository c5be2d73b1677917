import json
import re
from importlib import import_module
from pathlib import Path

import matplotlib
import nbformat
import numpy as np
import pandas as pd
import pytest
from matplotlib.layout_engine import ConstrainedLayoutEngine
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.networks.critic import build_critic
from segsrgan_core.networks.generators import build_generator
from segsrgan_study import figures
from segsrgan_study.figures import networks, style, te_overlay
from segsrgan_study.figures.gallery import Gallery
from segsrgan_study.figures.inputs import Inputs
from segsrgan_study.figures.style import MissingResult
from segsrgan_study.figures.views import mask_of
from segsrgan_study.paths import Study
from segsrgan_study.statistics.growth import fit_curve
from segsrgan_study.statistics.spread import spread
from tests.settings import ROOT
from tests.study.figures.conftest import head
from tests.study.notebook_04 import analyse
from tests.study.statistics.test_differences import differing

CORTICES = [mask_of(labels, 2) for _, labels in (head(), head(shift=0.6), head((44, 48, 36)))]
EPOCH = np.arange(1, 11)
CURVE = np.exp(-EPOCH / 4)
LOSSES = {"loss_rec": CURVE, "loss_adv": -CURVE, "loss_critic": CURVE - 1, "loss_ce": CURVE}
VALIDATION = {"val_psnr": 27 - CURVE, "val_psnr_spline": 24.0, "val_dice_cortex": 0.86 - CURVE / 5}
HISTORY = pd.DataFrame({"epoch": EPOCH, "step": 100 * EPOCH} | LOSSES | {"learning_rate": CURVE / 100} | VALIDATION)
# Reliability of a network that doubts too little.
EDGES = np.linspace(0, 1, 11)
P = (EDGES[1:] + EDGES[:-1]) / 2
BINS = pd.DataFrame({"structure": "cortex", "bin_low": EDGES[:-1], "bin_high": EDGES[1:], "mean_probability": P})
BINS = BINS.assign(share_inside=0.1 + 0.8 * P, n_voxels=10 + (2000 * (P - 0.5) ** 2).astype(int))
# Volumes under two physics, with the skull and without.
INDEX = pd.MultiIndex.from_product([("one", "another"), (True, False), (120, 200, 280, 360)])
IMAGINED = INDEX.to_frame(index=False, name=["physics", "skull", "te_ms"]).assign(subject="p", cortex_true_ml=100.0)
IMAGINED = IMAGINED.assign(cortex_ml=90 + IMAGINED["te_ms"] / 20, icv_ml=390.0, icv_true_ml=400.0)
# Cortical volumes of eight patients, of whom one is far off.
AGES, ML = np.arange(30.0, 46, 2), np.array([60, 66, 70, 78, 83, 92, 97, 140.0])
GROWN = pd.DataFrame({"case": [f"p{i}" for i in range(8)], "name": "cortex", "age_weeks": AGES, "volume_ml": ML})
# Found and true shapes of a hemisphere each of three subjects.
SIDES = pd.DataFrame({"subject": list("abc"), "side": ["left", "right", "left"], "found": [2.0, 2.4, 3.1]})
SIDES = SIDES.assign(true=SIDES["found"] * 0.9)
SHAPES = pd.concat([SIDES.assign(measure=name) for name in ("thickness_mm", "area_cm2")])


def draw(name, *arguments, **options):
    """Draw a figure by the name of its module; it and its values are returned."""
    return import_module(f"segsrgan_study.figures.{name}").draw(*arguments, **options)


@pytest.fixture(scope="module")
def models():
    generator = build_generator(name="residual", k=2, kernel=7, padding="reflect", n_classes=2)
    return {"generator": generator, "critic": build_critic(2, 2)}


@pytest.fixture(scope="module")
def compared():
    """Two factors; the second is the thickness, drawn as curves."""

    def score(mean):
        return {"mean": mean, "sd": 0.1 * mean, "values": [0.9 * mean, mean, 1.1 * mean]}

    entry = {"run": "a", "psnr_gain": score(2.0), "dice": score(0.8), "te_cv": score(0.02)}
    other = {"run": "b", "psnr_gain": score(3.0), "dice": score(0.9), "te_cv": None}
    curve = {mm: {"psnr": score(25.0), "psnr_spline": score(23.0), "dice": score(0.8)} for mm in ("2", "3", "4")}
    factors = {"contrast": {"none": entry, "physics": other}, "thickness": {"3 mm": entry, "2 to 4 mm": other}}
    return {"factors": factors, "curves": {"a": curve, "b": curve}}


@pytest.fixture(scope="module")
def drawn(images, scores, volumes, compared, models):
    """Each figure and its values, by name."""
    truth, labels, low, spline = (images[name] for name in ("truth", "labels", "low", "spline"))
    arguments = {
        "anisotropic": (low,),
        "simulation": (truth, low, spline),
        "networks": (models,),
        "learning": (HISTORY,),
        "before_after": (low, spline, spline, truth, labels, labels),
        "methods": (scores,),
        "calibration": (BINS, spline, labels, Nifti1Image(0.001 * np.asarray(truth.dataobj), truth.affine)),
        "differences": (differing(),),
        "ablations": (compared,),
        "variability_table": (analyse(volumes), True),
        "te_effect": (volumes,),
        "physics": (IMAGINED,),
        "shape": (SHAPES,),
        "growth": (GROWN, {"cortex": fit_curve(AGES, ML)}),
        "te_overlay": ({"sub-01": CORTICES[:2], "sub-02": CORTICES[:2]},),
        "bland_altman": (volumes,),
        "assumptions": (volumes,),
    }
    return {name: draw(name, *given) for name, given in arguments.items()}


def test_each_module_that_draws_stands_in_the_report(drawn):
    cells = nbformat.read(ROOT / "notebooks" / "05_figures.ipynb", as_version=4).cells
    assert set(drawn) == set(re.findall(r'figure\(\n    "(\w+)"', "\n".join(cell.source for cell in cells)))
    modules = Path(figures.__file__).parent.glob("*.py")
    assert set(drawn) == {one.stem for one in modules if ") -> Plot:" in one.read_text()}


def test_figures_fit_a_page_and_have_values_and_no_cut_text(drawn):
    for name, (fig, table) in drawn.items():
        assert 90 <= fig.get_size_inches()[0] * 25.4 <= style.TWO_COLUMNS_MM + 0.01, name
        assert len(table) > 0, name
        fig.draw_without_rendering()  # lays it out
        width, height = fig.get_size_inches() * fig.dpi
        box = fig.get_tightbbox().transformed(fig.dpi_scale_trans)
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) > -2, name


def test_volumes_that_are_all_alike_are_drawn_without_a_warning(volumes, recwarn):
    alike = dict.fromkeys(("cortex_ml", "cortex_over_icv", "cortex_over_icv_bet"), 3.0)
    _, points = draw("variability_table", spread(volumes.assign(**alike)))
    assert points["low"].isna().all()
    assert not [str(one.message) for one in recwarn]


def test_files_are_the_same_whatever_the_callers_settings_and_the_last_digits_of_a_layout(tmp_path, monkeypatch):
    solve = ConstrainedLayoutEngine.execute

    def solve_otherwise(engine, fig):
        solve(engine, fig)
        for ax in fig.axes:
            ax._set_position(np.asarray(ax.get_position(original=True).bounds) * (1 + 1e-14))

    first = style.save(draw("learning", HISTORY)[0], "learning", tmp_path / "first", HISTORY)
    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", solve_otherwise)
    with matplotlib.rc_context({"font.size": 20}):
        second = style.save(draw("learning", HISTORY)[0], "learning", tmp_path / "second", HISTORY)
    assert [path.name for path in first] == [f"learning.{end}" for end in ("pdf", "svg", "png", "csv")]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_values_are_those_of_the_results(scores, volumes, drawn):
    expected = scores[scores["structure"].isin(["image", "cortex"]) & (scores["metric"] != "euler_error")]
    np.testing.assert_array_equal(drawn["methods"][1]["value"], expected["value"])
    table = drawn["te_effect"][1].query("panel == 'cortical volume (ml)'").set_index(["subject", "te_ms"])["value"]
    measured = volumes.set_index(["subject", "te_ms"])["cortex_ml"]
    np.testing.assert_allclose(table["sub-00"], measured["sub-00"])
    assert table["mean", 280] == pytest.approx(measured[:, 280].mean())
    assert np.diff(drawn["simulation"][1].query("panel == 'thick slices'")["position_mm"]) == pytest.approx(4.5)


def test_te_overlay_measures_both_masks_on_one_grid():
    first, second, other = CORTICES
    table = draw("te_overlay", {"sub-01": (first, second), "sub-02": (first, other)})[1].set_index("patient")
    for te, mask in ((120, first), (280, second)):
        volume = np.count_nonzero(np.asarray(mask.dataobj)) * 1.5**3 / 1000
        assert table.loc["sub-01", f"volume_{te}_ml"] == pytest.approx(volume)
    assert 0 < table.loc["sub-01", "dice"] < 1
    assert table.loc["sub-02", "dice"] == pytest.approx(1)


def test_learning_shows_the_adversarial_term_from_where_the_critic_takes_part():
    adversarial = ["loss_adv", "loss_critic"]
    late = HISTORY.assign(**HISTORY[adversarial].where(HISTORY["epoch"] > 7))
    assert draw("learning", late)[1]["loss_adv"].notna().sum() == 3
    assert "loss_adv" not in draw("learning", late.drop(columns=adversarial))[1]


def test_learning_along_steps_is_smoothed_over_the_losses_alone():
    fig, table = draw("learning", HISTORY.drop(columns="epoch"), along="step", smooth=4)
    assert list(table["step"]) == list(HISTORY["step"])
    raw, mean = (line.get_ydata() for line in fig.axes[0].lines)
    assert mean[5] == pytest.approx(np.mean(raw[2:6]))
    assert len(fig.axes[-1].lines) == 1  # the learning rate


def test_ablations_without_the_thickness_have_no_curves(compared):
    fig, table = draw("ablations", {"factors": {"contrast": compared["factors"]["contrast"]}})
    assert len(fig.axes) == 3
    assert set(table["factor"]) == {"contrast"}


def test_layers_follow_a_models_graph(models):
    layers = networks.layer_summaries(models["generator"])
    rows = {row["name"]: row for row in layers}
    sums = [row for row in layers if row["kind"] == "Add"]
    assert [row["size"] for row in sums] == [0.25] * 6
    assert layers[-1]["size"] == 1.0
    assert [rows[name]["channels"] for name in sums[0]["inputs"]] == [8, 8]
    first = next(row for row in layers if row["parameters"])
    assert (first["kernel"], first["channels"], first["parameters"]) == (7, 2, 2 * 7**3)


def test_what_is_missing_is_named(scores, volumes, images):
    one = volumes[volumes["subject"] == "sub-00"]
    cases = [
        ("methods", scores[scores["structure"] == "white"], "no score of the image or of cortex"),
        ("learning", HISTORY[["epoch"]], "no loss and no validation score"),
        ("te_effect", volumes[volumes["te_ms"] == 120], "one echo time"),
        ("bland_altman", one, "three patients"),
        ("assumptions", one, "three patients"),
        ("te_overlay", {}, "no patient has cortex masks at both TE = 120 and 280 ms"),
        ("ablations", {}, "run `make ablations`"),
        ("anisotropic", Nifti1Image(np.zeros(images["low"].shape, np.float32), images["low"].affine), "empty"),
    ]
    for name, given, message in cases:
        with pytest.raises(MissingResult, match=message):
            draw(name, given)


def test_a_missing_figure_leaves_its_reason_and_the_others_are_drawn(tmp_path, volumes):
    study, table = Study(tmp_path), "variability/volumes.csv"
    (study.results / "variability").mkdir(parents=True)
    volumes.to_csv(study.results / table, index=False)
    (study.results / "empty.csv").write_text("")
    figure, given = Gallery(study.results / "figures"), Inputs(study)
    shown = [
        figure("none", "A.", lambda: draw("learning", given.table("training/history.csv"))),
        figure("empty", "B.", lambda: draw("learning", given.table("empty.csv"))),
        figure("te_overlay", "C.", lambda: draw("te_overlay", given.cortex_pairs(te_overlay.TE_MS))),
        figure("no_image", "D.", lambda: draw("anisotropic", *given.images("low"))),
        figure("lacking", "E.", lambda: draw("te_effect", given.table(table).drop(columns="te_ms"))),
        figure("te_effect", "F, <the\n last>.", lambda: draw("te_effect", given.table(table))),
    ]
    assert list(figure.missing) == ["none", "empty", "te_overlay", "no_image", "lacking"]
    assert "results/training/history.csv: the file is not there" in shown[0].data
    assert "holds no rows" in shown[1].data
    assert "the results lack &#x27;te_ms&#x27;" in shown[4].data
    assert "<img src=" in shown[5].data
    assert "<b>Figure 6.</b> F, &lt;the last&gt;." in shown[5].data
    assert json.loads((study.results / "figures" / "missing.json").read_text()) == figure.missing
    assert (study.results / "figures" / "te_effect.svg").is_file()
