import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from segsrgan_core.errors import UserError
from segsrgan_core.networks.critic import build_critic
from segsrgan_core.networks.generators import build_generator
from segsrgan_study.figures import (
    ablations,
    anisotropic,
    assumptions,
    before_after,
    bland_altman,
    calibration,
    learning,
    methods,
    networks,
    simulation,
    style,
    te_effect,
    te_overlay,
    variability_table,
)
from segsrgan_study.figures.panels import mask_of
from segsrgan_study.figures.style import MissingResult
from segsrgan_study.statistics import analyse

NAMES = [
    "ablations", "anisotropic", "assumptions", "before_after", "bland_altman", "calibration", "learning", "methods",
    "networks", "simulation", "te_effect", "te_overlay", "variability_table",
]  # fmt: skip


def volumes_of(n):
    """Volumes of n subjects as the evaluation leaves them."""
    true = np.linspace(100, 150, n)
    return pd.DataFrame(
        {
            "subject": [f"sub-{i}" for i in range(n)],
            "structure": "cortex",
            "volume_ml": true + np.linspace(-5, 8, n),
            "volume_true_ml": true,
            "volume_se_ml": 4.0,
        }
    )


def uncertainty_of(labels):
    """Half a doubt in the cortex, none elsewhere."""
    doubt = 0.5 * (np.asarray(labels.dataobj) == 2)
    return type(labels)(doubt.astype(np.float32), labels.affine)


@pytest.fixture(scope="module")
def bins():
    """A network that doubts too little."""
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
def draw(images, head, scores, volumes, history, request):
    """Every figure by name."""
    layers = request.getfixturevalue("networks")
    pair = tuple(mask_of(labels, 2) for _, labels in (head(), head(shift=0.6)))
    order = [images[name] for name in ("low", "spline", "spline", "truth", "labels", "labels")]
    trust = (request.getfixturevalue("bins"), volumes_of(4), 4, images["truth"], images["labels"])
    return {
        "ablations": lambda: ablations.draw(request.getfixturevalue("compared")),
        "anisotropic": lambda: anisotropic.draw(images["low"]),
        "assumptions": lambda: assumptions.draw(volumes),
        "before_after": lambda: before_after.draw(*order),
        "bland_altman": lambda: bland_altman.draw(volumes),
        "calibration": lambda: calibration.draw(*trust, uncertainty_of(images["labels"])),
        "learning": lambda: learning.draw(history),
        "methods": lambda: methods.draw(scores),
        "networks": lambda: networks.draw(layers),
        "simulation": lambda: simulation.draw(images["truth"], images["low"], images["spline"]),
        "te_effect": lambda: te_effect.draw(volumes),
        "te_overlay": lambda: te_overlay.draw({"sub-01": pair, "sub-02": pair}),
        "variability_table": lambda: variability_table.draw(analyse(volumes), with_talk=True),
    }


@pytest.mark.parametrize("name", NAMES)
def test_files_are_the_same_when_drawn_again(name, draw, tmp_path):
    files = []
    for run in ("first", "second"):
        matplotlib.rcParams["font.size"] = 20 if run == "second" else 10  # a caller's settings change nothing
        files.append(style.save(*_named(draw[name](), name, tmp_path / run)))
    matplotlib.rcdefaults()
    assert [path.name for path in files[0]] == [f"{name}.{end}" for end in ("pdf", "svg", "png", "csv")]
    for first, second in zip(*files, strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == sorted(path.name for path in files[0])


def _named(drawn: tuple[Figure, pd.DataFrame], name: str, folder):
    fig, table = drawn
    return fig, name, folder, table


@pytest.fixture(scope="module", params=NAMES)
def drawn(request, draw):
    """Each figure once: its name, the figure, and its values."""
    return request.param, *draw[request.param]()


def test_figures_have_a_column_width_and_a_caption(drawn):
    name, fig, table = drawn
    width_mm = fig.get_size_inches()[0] * 25.4
    assert style.ONE_COLUMN_MM <= width_mm <= style.TWO_COLUMNS_MM + 0.01
    assert len(table) > 0
    module = globals()[name]
    assert name == module.NAME
    assert module.CAPTION.endswith(".")


def test_no_text_is_cut_off(drawn):
    _, fig, _ = drawn
    fig.draw_without_rendering()  # lays it out
    width, height = fig.get_size_inches() * fig.dpi
    box = fig.get_tightbbox().transformed(fig.dpi_scale_trans)
    assert box.x0 > -2
    assert box.y0 > -2
    assert box.x1 < width + 2
    assert box.y1 < height + 2


def test_csv_holds_the_plotted_values(draw, scores, volumes, tmp_path):
    style.save(*_named(draw["methods"](), "methods", tmp_path))
    plotted = pd.read_csv(tmp_path / "methods.csv")
    expected = scores[scores["structure"].isin(["image", "cortex"]) & (scores["metric"] != "n_components")]
    np.testing.assert_allclose(plotted["value"], expected["value"], rtol=1e-5)
    table = draw["te_effect"]()[1]
    lines = table[(table["panel"] == "cortical volume (ml)") & (table["subject"] == "sub-0")]
    np.testing.assert_allclose(lines["value"], volumes.loc[volumes["subject"] == "sub-0", "cortex_ml"])
    mean = table[(table["panel"] == "cortical volume (ml)") & (table["subject"] == "mean")].set_index("te_ms")["value"]
    assert mean[280] == pytest.approx(volumes.loc[volumes["te_ms"] == 280, "cortex_ml"].mean())


def test_simulation_plots_the_line_through_the_images(draw, images):
    fig, table = draw["simulation"]()
    assert set(table["panel"]) == {"high resolution", "thick slices", "interpolated"}
    low = table[table["panel"] == "thick slices"]
    assert np.diff(low["position_mm"]) == pytest.approx(4.5)
    assert len(fig.axes) == 4


def test_te_overlay_measures_both_masks(draw, head):
    table = draw["te_overlay"]()[1].set_index("patient")
    first, second = (np.count_nonzero(np.asarray(labels.dataobj) == 2) for _, labels in (head(), head(shift=0.6)))
    assert table.loc["sub-01", "volume_120_ml"] == pytest.approx(first * 1.5**3 / 1000)
    assert table.loc["sub-01", "volume_280_ml"] == pytest.approx(second * 1.5**3 / 1000)
    assert 0 < table.loc["sub-01", "dice"] < 1


def test_te_overlay_brings_masks_to_one_grid(head):
    _, labels = head()
    first, other = mask_of(labels, 2), mask_of(head((44, 48, 36))[1], 2)
    table = te_overlay.draw({"sub-01": (first, other)})[1]
    assert table["dice"][0] == pytest.approx(1)


def test_the_last_digits_of_a_layout_change_no_file(history, tmp_path, monkeypatch):
    solve = ConstrainedLayoutEngine.execute

    def solve_otherwise(engine, fig):
        solve(engine, fig)
        for ax in fig.axes:
            ax._set_position(np.asarray(ax.get_position(original=True).bounds) * (1 + 1e-14))

    one = style.save(*_named(learning.draw(history), "learning", tmp_path / "one"))
    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", solve_otherwise)
    other = style.save(*_named(learning.draw(history), "learning", tmp_path / "other"))
    for first, second in zip(one, other, strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name


def test_learning_shows_the_adversarial_term_from_where_the_critic_takes_part(history):
    adversarial = ["loss_adv", "loss_critic"]
    late = history.assign(**history[adversarial].where(history["epoch"] > 7))
    table = learning.draw(late)[1]
    assert table["loss_adv"].notna().sum() == 3
    without = learning.draw(late.drop(columns=adversarial))[1]
    assert "loss_adv" not in without


def test_learning_along_steps_is_smoothed_over_the_losses_alone(history):
    fig, table = learning.draw(history.drop(columns="epoch"), along="step", smooth=4)
    assert list(table["step"]) == list(history["step"])
    raw, mean = (line.get_ydata() for line in fig.axes[0].lines)
    assert mean[5] == pytest.approx(np.mean(raw[2:6]))
    assert len(fig.axes[-1].lines) == 1  # the learning rate


def test_network_summary_counts_and_blocks(request):
    layers = request.getfixturevalue("networks")
    fig, table = networks.draw(layers)
    assert [row["name"] for row in networks.residual_block(layers["generator"])] == ["c", "sum"]
    texts = [text.get_text() for text in fig.axes[0].texts]
    assert "generator: 19,312 parameters" in texts
    assert "residual\nblock \N{MULTIPLICATION SIGN} 2" in texts
    assert "residual block of the generator" in texts
    assert table["network"].value_counts().to_dict() == {"generator": 12, "critic": 3}


def test_layer_summaries_follow_a_models_graph():
    class Tensor:
        def __init__(self, layer, channels):
            self._keras_history = type("History", (), {"operation": layer})
            self.shape = (None, None, None, None, channels)

    class Layer:
        def __init__(self, name, channels, before=None, **facts):
            self.name, self.output = name, Tensor(self, channels)
            tensors = [layer.output for layer in before or [self]]
            self.input = tensors if len(tensors) > 1 else tensors[0]
            self.__dict__.update(facts)

        def count_params(self):
            return 7

    UpSampling3D = type("UpSampling3D", (Layer,), {})  # noqa: N806
    start = Layer("in", 1)
    down = Layer("down", 8, [start], kernel_size=(3, 3, 3), strides=(2, 2, 2))
    up = UpSampling3D("up", 8, [down], size=(2, 2, 2))
    join = Layer("join", 9, [up, start])
    model = type("Model", (), {"layers": [start, down, up, join]})
    rows = networks.layer_summaries(model)
    assert [row["size"] for row in rows] == [1, 0.5, 1, 1]
    assert rows[1] | {"kernel": 3, "stride": 2, "inputs": ["in"], "parameters": 7, "channels": 8} == rows[1]
    assert rows[3]["inputs"] == ["up", "in"]


@pytest.mark.parametrize("name", ["residual", "unet"])
@pytest.mark.parametrize("padding", ["zero", "reflect"])
def test_the_real_networks_have_a_box_a_layer(name, padding):
    arguments = {"name": name, "k": 2, "kernel": 7, "padding": padding, "n_classes": 2}
    layers = {
        "generator": networks.layer_summaries(build_generator(**arguments)),
        "critic": networks.layer_summaries(build_critic(2, 2)),
    }
    assert layers["generator"][-1]["size"] == 1.0
    texts = [text.get_text() for text in networks.draw(layers)[0].axes[0].texts]
    assert not [text for text in texts if re.search("[a-z][A-Z]|_", text.replace("ReLU", ""))], "a class's name"


def test_what_is_missing_is_named(scores, volumes, history, images):
    cases = [
        (lambda: methods.draw(scores.iloc[:0]), "per_subject.csv holds no rows"),
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
        (lambda: anisotropic.draw(_empty(images["low"])), "empty"),
    ]
    for call, message in cases:
        with pytest.raises(MissingResult, match=message):
            call()
    assert issubclass(MissingResult, UserError)


def _empty(image):
    return type(image)(np.zeros(image.shape, np.float32), image.affine)


def test_a_missing_figure_leaves_its_reason(tmp_path, volumes):
    missing = {}
    assert style.draw_and_save("te_overlay", lambda: te_overlay.draw({}), tmp_path, missing) is None
    assert "no patient" in missing["te_overlay"]
    assert style.draw_and_save("te_effect", lambda: te_effect.draw(volumes), tmp_path, missing)
    assert set(missing) == {"te_overlay"}
    assert {path.name for path in tmp_path.iterdir()} == {f"te_effect.{end}" for end in ("pdf", "svg", "png", "csv")}
