"""Ablations: what each choice of network, objective and augmentation gives, over several seeds."""

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from segsrgan_study.figures.style import CYCLE, GREY, Plot, new_figure, panel_letters, require, styled

SCORES = {"psnr_gain": "gain over spline (dB)", "dice": "Dice", "te_cv": "variation over TE (%)"}
CURVES = {"psnr": "PSNR (dB)", "dice": "Dice"}
THICKNESS = "thickness"  # the factor whose levels are drawn as curves


@styled
def draw(metrics: Mapping[str, Any]) -> Plot:
    """Draw `results/ablations/metrics.json`; values: factor, level, score, thickness_mm (of curves), seed, value."""
    factors = metrics.get("factors")
    require(bool(factors), "results/ablations/metrics.json is not there; run `make ablations`.")
    values = [
        (factor, level, score, seed, value)
        for factor, levels in factors.items()
        for level, entry in levels.items()
        for score in SCORES
        for seed, value in enumerate((entry[score] or {"values": []})["values"], start=1)
    ]
    seeds = pd.DataFrame(values, columns=["factor", "level", "score", "seed", "value"])
    seeds.loc[seeds["score"] == "te_cv", "value"] *= 100
    rows = [row for factor, levels in factors.items() for row in ((factor, ""), *((factor, level) for level in levels))]
    fig = new_figure(height_mm=5.2 * len(rows) + 65)
    top, bottom = fig.subfigures(2, 1, height_ratios=[5.2 * len(rows), 62])
    axes = list(top.subplots(1, len(SCORES), sharey=True))
    for ax, (score, label) in zip(axes, SCORES.items(), strict=True):
        _dots(ax, rows, seeds[seeds["score"] == score])
        ax.set_xlabel(label)
    curves = {level: metrics["curves"][facts["run"]] for level, facts in factors.get(THICKNESS, {}).items()}
    tables = [seeds]
    for score, label in CURVES.items() if curves else ():
        axes.append(bottom.add_subplot(1, len(CURVES), len(tables), xlabel="slice thickness (mm)", ylabel=label))
        tables.append(_curves(axes[-1], curves, score))
    panel_letters(axes)
    return fig, pd.concat(tables, ignore_index=True)


def _dots(ax: Axes, rows: list[tuple[str, str]], seeds: pd.DataFrame) -> None:
    """Draw the values of one score, a row per level under its factor's name."""
    colours = dict(zip(dict(rows), cycle(CYCLE), strict=False))
    for (factor, level), values in seeds.groupby(["factor", "level"])["value"]:
        y = rows.index((factor, level))
        ax.plot(values, [y] * len(values), "o", color=colours[factor], markersize=2.2, alpha=0.5, markeredgewidth=0)
        ax.plot(values.mean(), y, "o", color=colours[factor], markersize=4.5)
    ax.set_yticks(range(len(rows)), [f"{level}  " if level else factor for factor, level in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    for text in ax.get_yticklabels():
        text.set_fontweight("bold" if text.get_text() in colours else "normal")
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=5)
    if "te_cv" in set(seeds["score"]):
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(lambda x, _: f"{x:g}" if f"{x:e}"[0] in "2357" else "")
    ax.grid(axis="x", which="both", linewidth=0.3, alpha=0.5)


def _curves(ax: Axes, curves: Mapping[str, Mapping[str, Mapping]], score: str) -> pd.DataFrame:
    """Draw one score over the slice thickness, a curve per level, and the spline's where it is known."""
    drawn = []
    for (level, by_mm), colour in zip(curves.items(), cycle(CYCLE), strict=False):
        found = pd.DataFrame({float(mm): entry[score] for mm, entry in by_mm.items()}).T
        look = {"color": colour, "marker": "o", "capsize": 2, "label": level}
        ax.errorbar(found.index, found["mean"], found["sd"].astype(float).fillna(0), **look)
        where = {"factor": THICKNESS, "level": level, "score": score, "thickness_mm": found.index}
        drawn.append(pd.DataFrame({**where, "value": found["mean"].astype(float)}))
    ax.set_xticks(found.index)
    if spline := [entry[f"{score}_spline"]["mean"] for entry in by_mm.values() if f"{score}_spline" in entry]:
        ax.legend(ax.plot(found.index, spline, color=GREY, linestyle="--"), ["cubic spline"])
    else:
        ax.legend(title="trained on")
    return pd.concat(drawn)
