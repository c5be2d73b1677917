import json
import re
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.layout_engine import ConstrainedLayoutEngine
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.networks.critic import build_critic
from segsrgan_core.networks.generators import build_generator
from segsrgan_study import figures
from segsrgan_study.figures import (
    ablations,
    anisotropic,
    assumptions,
    bland_altman,
    learning,
    methods,
    networks,
    simulation,
    style,
    te_effect,
    te_overlay,
    variability_table,
)
from segsrgan_study.figures.inputs import Inputs
from segsrgan_study.figures.panels import mask_of
from segsrgan_study.figures.registry import FIGURES, SECTIONS, Gallery
from segsrgan_study.figures.style import MissingResult
from segsrgan_study.paths import Study
from tests.study.notebook_04 import analyse


@pytest.fixture(scope="module")
def layers():
    """Layers of a small published generator and critic."""
    generator = build_generator(name="residual", k=2, kernel=7, padding="reflect", n_classes=2)
    return {"generator": networks.layer_summaries(generator), "critic": networks.layer_summaries(build_critic(2, 2))}


@pytest.fixture(scope="module")
def bins():
    """Reliability of a network that doubts too little."""
    edges = np.linspace(0, 1, 11)
    p = (edges[1:] + edges[:-1]) / 2
    columns = {"bin_low": edges[:-1], "bin_high": edges[1:], "n_voxels": 10 + (2000 * (p - 0.5) ** 2).astype(int)}
    return pd.DataFrame({"structure": "cortex", **columns, "mean_probability": p, "share_inside": 0.1 + 0.8 * p})


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
def given(images, head, scores, volumes, history, bins, compared):
    """Stands in for `Inputs`."""
    tables = {
        "training/history.csv": history,
        "evaluation/per_subject.csv": scores,
        "evaluation/calibration.csv": bins,
        "variability/volumes.csv": volumes,
    }
    results = {
        "evaluation/metrics.json": {"standard_errors": {"cases": 4}},
        "ablations/metrics.json": compared,
        "variability/metrics.json": analyse(volumes),
    }
    doubt = Nifti1Image(0.001 * np.asarray(images["truth"].dataobj), images["truth"].affine)
    shown = {**images, "estimate": images["spline"], "truth_labels": images["labels"], "uncertainty": doubt}
    pair = tuple(mask_of(labels, 2) for _, labels in (head(), head(shift=0.6)))
    return SimpleNamespace(
        study=None,
        settings=SimpleNamespace(cohort="epirmex"),
        table=tables.get,
        json=results.get,
        images=lambda *names: [shown[name] for name in names],
        cortex_pairs=lambda te_ms: {"sub-01": pair, "sub-02": pair},
    )


@pytest.fixture(scope="module", params=FIGURES)
def drawn(request, given, layers):
    """Each figure once: its name, the figure, and its values."""
    module = FIGURES[request.param]
    inputs = next(modules[module] for modules in SECTIONS.values() if module in modules)
    arguments = [layers] if module is networks else inputs(given)
    return request.param, *module.draw(*arguments)


def test_each_module_that_draws_stands_in_the_registry():
    folder = Path(figures.__file__).parent
    assert set(FIGURES) == {path.stem for path in folder.glob("*.py") if "\nCAPTION = " in path.read_text()}


def test_figures_have_a_column_width_values_and_no_cut_text(drawn):
    name, fig, table = drawn
    assert style.ONE_COLUMN_MM <= fig.get_size_inches()[0] * 25.4 <= style.TWO_COLUMNS_MM + 0.01
    assert len(table) > 0
    assert FIGURES[name].CAPTION.endswith(".")
    fig.draw_without_rendering()  # lays it out
    width, height = fig.get_size_inches() * fig.dpi
    box = fig.get_tightbbox().transformed(fig.dpi_scale_trans)
    assert min(box.x0, box.y0) > -2
    assert box.x1 < width + 2
    assert box.y1 < height + 2


def test_files_are_the_same_when_drawn_again(scores, tmp_path):
    files = []
    for run, size in (("first", 10), ("second", 20)):
        matplotlib.rcParams["font.size"] = size  # a caller's settings change nothing
        fig, table = methods.draw(scores)
        files.append(style.save(fig, "methods", tmp_path / run, table))
    matplotlib.rcdefaults()
    assert [path.name for path in files[0]] == [f"methods.{end}" for end in ("pdf", "svg", "png", "csv")]
    for first, second in zip(*files, strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name


def test_the_last_digits_of_a_layout_change_no_file(history, tmp_path, monkeypatch):
    solve = ConstrainedLayoutEngine.execute

    def solve_otherwise(engine, fig):
        solve(engine, fig)
        for ax in fig.axes:
            ax._set_position(np.asarray(ax.get_position(original=True).bounds) * (1 + 1e-14))

    one = style.save(learning.draw(history)[0], "learning", tmp_path / "one", history)
    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", solve_otherwise)
    other = style.save(learning.draw(history)[0], "learning", tmp_path / "other", history)
    for first, second in zip(one, other, strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name


def test_values_are_those_of_the_results(scores, volumes):
    plotted = methods.draw(scores)[1]
    expected = scores[scores["structure"].isin(["image", "cortex"]) & (scores["metric"] != "n_components")]
    np.testing.assert_array_equal(plotted["value"], expected["value"])
    table = te_effect.draw(volumes)[1]
    lines = table[(table["panel"] == "cortical volume (ml)") & (table["subject"] == "sub-0")]
    np.testing.assert_allclose(lines["value"], volumes.loc[volumes["subject"] == "sub-0", "cortex_ml"])
    mean = table[(table["panel"] == "cortical volume (ml)") & (table["subject"] == "mean")].set_index("te_ms")["value"]
    assert mean[280] == pytest.approx(volumes.loc[volumes["te_ms"] == 280, "cortex_ml"].mean())


def test_simulation_plots_the_line_through_the_images(images):
    fig, table = simulation.draw(images["truth"], images["low"], images["spline"])
    low = table[table["panel"] == "thick slices"]
    assert np.diff(low["position_mm"]) == pytest.approx(4.5)
    assert len(fig.axes) == 4


def test_te_overlay_measures_both_masks_on_one_grid(head):
    first, second, other = (mask_of(one[1], 2) for one in (head(), head(shift=0.6), head((44, 48, 36))))
    table = te_overlay.draw({"sub-01": (first, second), "sub-02": (first, other)})[1].set_index("patient")
    for te, mask in ((120, first), (280, second)):
        volume = np.count_nonzero(np.asarray(mask.dataobj)) * 1.5**3 / 1000
        assert table.loc["sub-01", f"volume_{te}_ml"] == pytest.approx(volume)
    assert 0 < table.loc["sub-01", "dice"] < 1
    assert table.loc["sub-02", "dice"] == pytest.approx(1)


def test_learning_shows_the_adversarial_term_from_where_the_critic_takes_part(history):
    adversarial = ["loss_adv", "loss_critic"]
    late = history.assign(**history[adversarial].where(history["epoch"] > 7))
    assert learning.draw(late)[1]["loss_adv"].notna().sum() == 3
    assert "loss_adv" not in learning.draw(late.drop(columns=adversarial))[1]


def test_learning_along_steps_is_smoothed_over_the_losses_alone(history):
    fig, table = learning.draw(history.drop(columns="epoch"), along="step", smooth=4)
    assert list(table["step"]) == list(history["step"])
    raw, mean = (line.get_ydata() for line in fig.axes[0].lines)
    assert mean[5] == pytest.approx(np.mean(raw[2:6]))
    assert len(fig.axes[-1].lines) == 1  # the learning rate


def test_layers_follow_a_models_graph(layers):
    rows = {row["name"]: row for row in layers["generator"]}
    sums = [row for row in rows.values() if row["kind"] == "Add"]
    assert [row["size"] for row in sums] == [0.25] * 6
    assert layers["generator"][-1]["size"] == 1.0
    assert [rows[name]["channels"] for name in sums[0]["inputs"]] == [8, 8]
    first = next(row for row in rows.values() if row["parameters"])
    assert (first["kernel"], first["channels"], first["parameters"]) == (7, 2, 2 * 7**3)


@pytest.mark.parametrize("name", ["residual", "unet"])
@pytest.mark.parametrize("padding", ["zero", "reflect"])
def test_no_box_carries_a_class_name(name, padding, layers):
    built = networks.layer_summaries(build_generator(name=name, k=2, kernel=7, padding=padding, n_classes=2))
    fig = networks.draw({**layers, "generator": built})[0]
    texts = [text.get_text() for ax in fig.axes for text in ax.texts]
    assert not [text for text in texts if re.search("[a-z][A-Z]|_", text)]


def test_what_is_missing_is_named(scores, volumes, history, images):
    empty = Nifti1Image(np.zeros(images["low"].shape, np.float32), images["low"].affine)
    cases = [
        (lambda: methods.draw(scores.iloc[:0]), "per_subject.csv: the table holds no rows"),
        (lambda: methods.draw(scores.drop(columns="method")), r"columns \['method'\] are missing"),
        (lambda: methods.draw(scores[scores["structure"] == "white"]), "no score of the image or of cortex"),
        (lambda: learning.draw(history[["epoch"]]), "no loss and no validation score"),
        (lambda: te_effect.draw(volumes[volumes["te_ms"] == 120]), "one echo time"),
        (lambda: bland_altman.draw(volumes[volumes["subject"] == "sub-0"]), "three patients"),
        (lambda: assumptions.draw(volumes[volumes["subject"] == "sub-0"]), "three patients"),
        (lambda: te_overlay.draw({}), "no patient has cortex masks at both TE = 120 and 280 ms"),
        (lambda: variability_table.draw({}), "sd_over_mean is missing"),
        (lambda: networks.draw({"generator": []}), "layers are missing"),
        (lambda: ablations.draw({}), "run `make ablations`"),
        (lambda: anisotropic.draw(empty), "empty"),
    ]
    for call, message in cases:
        with pytest.raises(MissingResult, match=message):
            call()


def test_a_missing_figure_leaves_its_reason_and_the_others_are_drawn(tmp_path, volumes):
    (tmp_path / "results" / "variability").mkdir(parents=True)
    volumes.to_csv(tmp_path / "results" / "variability" / "volumes.csv", index=False)
    gallery = Gallery(Inputs(Study(tmp_path), SimpleNamespace(cohort="embedded")))
    page = gallery.section("variability").data
    assert set(gallery.missing) == {"variability_table", "te_overlay"}
    assert "results/variability/metrics.json: the file is not there" in page
    assert json.loads((tmp_path / "results" / "figures" / "missing.json").read_text()) == gallery.missing
    for name in ("te_effect", "bland_altman", "assumptions"):
        assert (tmp_path / "results" / "figures" / f"{name}.svg").is_file()
    assert page.count("<img src=") == 3
