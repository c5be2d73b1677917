"""The figure of the benchmarks: how many times as fast, and where a generator's time goes."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segsrgan_study.figures.style import BLUE, GREY, ORANGE, new_figure, panel_letters, styled

NAME = "speed"
TITLES = {"imapa": "IMAPA", "hd95": "95 % Hausdorff"}


@styled
def draw(found: Mapping[str, Mapping]) -> tuple[Figure, pd.DataFrame]:
    """Draw ratios with their range, and each convolution's share of the peak in the shipped generator.

    Args:
        found: by benchmark, as `__main__.run` gathers them.

    Returns:
        The figure, and its values: panel, name, value, low, high.
    """
    ratios = _ratios(found)
    shipped = found["peak"]["shipped"]
    layers = shipped["layers"]
    fig = new_figure(height_mm=75)
    left, right = fig.subplots(1, 2, width_ratios=[1, 1.2])
    _draw_ratios(left, ratios)
    _draw_layers(right, layers, shipped["forward"]["median"], shipped["precision"])
    panel_letters([left, right])
    rows = [("ratio", *row) for row in ratios]
    rows += [("share of peak", layer["name"], layer["share"], np.nan, np.nan) for layer in layers]
    return fig, pd.DataFrame(rows, columns=["panel", "name", "value", "low", "high"])


def _ratios(found: Mapping[str, Mapping]) -> list[tuple[str, float, float, float]]:
    named = {f"training, {batch}": one for batch, one in found["training"].items()}
    named |= {"a head, shipped": found["inference"]["shipped"]}
    named |= {TITLES.get(name, name): one for name, one in found["without_networks"].items()}
    return [(name, *(one["ratio"][key] for key in ("median", "low", "high"))) for name, one in named.items()]


def _draw_ratios(ax: Axes, ratios: list[tuple[str, float, float, float]]) -> None:
    names, values, low, high = (np.array(column) for column in zip(*ratios, strict=True))
    places = np.arange(len(names))[::-1]
    ax.barh(places, values, color=BLUE, height=0.6)
    ax.errorbar(values, places, xerr=[values - low, high - values], fmt="none", ecolor="black", elinewidth=0.8)
    for place, value, end in zip(places, values, high, strict=True):
        ax.annotate(f"{value:.3g}", (end, place), (4, 0), textcoords="offset points", va="center")
    ax.axvline(1, color=GREY, linewidth=0.6)
    ax.set_xscale("log")
    ax.set_yticks(places, names)
    ax.margins(x=0.15)
    ax.set_xlabel("times as fast (median, range of the rounds)")


def _draw_layers(ax: Axes, layers: list[Mapping], whole: float, precision: str) -> None:
    labels = [f"{layer['input'][0]}$^3$, {layer['input'][-1]} to {layer['filters']}" for layer in layers]
    places = np.arange(len(layers))[::-1]
    ax.barh(places, [100 * layer["share"] for layer in layers], color=ORANGE, height=0.6)
    ax.axvline(100 * whole, color="black", linewidth=0.8, linestyle=":", label="the whole generator")
    ax.set_yticks(places, labels)
    ax.set_xlabel(f"share of the convolution peak, {precision} (%)")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1))
