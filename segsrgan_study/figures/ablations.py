"""Ablations: what each choice of network, objective and augmentation gives, over several seeds."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segsrgan_study.figures.style import CYCLE, GREY, new_figure, panel_letters, require, styled

CAPTION = (
    "Ablations: short trainings that differ in one thing each. (a) Gain in PSNR over cubic spline and (b) Dice of the "
    "cortex on the test subjects; (c) coefficient of variation of the cortical volume over echo times within a "
    "patient, on a logarithmic scale. Small points are single seeds, large ones their mean. (d) PSNR and (e) Dice over "
    "the slice thickness, mean over the seeds with its standard deviation, of networks trained on slices of 3 mm, of 2 "
    "to 4 mm, and of 2 to 4 mm while they are told the thickness."
)
SCORES = {"psnr_gain": "gain over spline (dB)", "dice": "Dice", "te_cv": "variation over TE (%)"}
SCALES = {"te_cv": 100}
CURVES = {"psnr": "PSNR (dB)", "dice": "Dice"}
THICKNESS = "thickness"  # the factor whose levels are drawn as curves


@styled
def draw(metrics: Mapping[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """Draw the ablations.

    Args:
        metrics: `results/ablations/metrics.json`.

    Returns:
        The figure, and the plotted values: factor, level, score, thickness_mm (of the curves), seed, value.
    """
    factors = metrics.get("factors")
    require(bool(factors), "results/ablations/metrics.json is not there; run `make ablations`.")
    seeds = pd.DataFrame(
        {"factor": factor, "level": level, "score": score, "seed": seed, "value": value * SCALES.get(score, 1)}
        for factor, levels in factors.items()
        for level, entry in levels.items()
        for score in SCORES
        for seed, value in enumerate((entry[score] or {"values": []})["values"], start=1)
    )  # fmt: skip
    curves = pd.DataFrame(
        {"factor": THICKNESS, "level": level, "score": score, "thickness_mm": float(mm), "value": entry[score]["mean"],
         "sd": entry[score]["sd"] or 0.0, "spline": entry.get(f"{score}_spline", {}).get("mean")}
        for level, facts in factors.get(THICKNESS, {}).items()
        for mm, entry in metrics["curves"][facts["run"]].items()
        for score in CURVES
    )  # fmt: skip
    n_rows = sum(1 + len(levels) for levels in factors.values())
    fig = new_figure(height_mm=5.2 * n_rows + 65)
    top, bottom = fig.subfigures(2, 1, height_ratios=[5.2 * n_rows, 62])
    axes = [*top.subplots(1, len(SCORES), sharey=True), *bottom.subplots(1, len(CURVES))]
    for ax, (score, label) in zip(axes, SCORES.items(), strict=False):
        _dots(ax, factors, seeds[seeds["score"] == score], label)
    for ax, (score, label) in zip(axes[len(SCORES) :], CURVES.items(), strict=True):
        _curves(ax, curves[curves["score"] == score] if len(curves) else curves, label)
    panel_letters(axes)
    return fig, pd.concat([seeds, curves.drop(columns=["sd", "spline"], errors="ignore")], ignore_index=True)


def _dots(ax: Axes, factors: Mapping[str, Mapping], seeds: pd.DataFrame, label: str) -> None:
    """Draw the values of one score, a row per level under its factor's name."""
    names = [
        row for factor, levels in factors.items() for row in ((factor, ""), *((factor, level) for level in levels))
    ]
    colours = dict(zip(factors, CYCLE * len(factors), strict=False))
    for y, (factor, level) in enumerate(names):
        values = seeds.loc[(seeds["factor"] == factor) & (seeds["level"] == level), "value"]
        look = {"color": colours[factor], "marker": "o", "linestyle": "none"}
        ax.plot(values, [y] * len(values), **look, markersize=2.2, alpha=0.5, markeredgewidth=0)
        ax.plot(values.mean(), y, **look, markersize=4.5)
    ax.set_yticks(range(len(names)), [f"{level}  " if level else factor for factor, level in names])
    ax.set_ylim(len(names) - 0.4, -0.6)
    for text in ax.get_yticklabels():
        text.set_fontweight("bold" if text.get_text() in factors else "normal")
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(label)
    if label == SCORES["te_cv"] and len(seeds):
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(lambda x, _: f"{x:g}" if f"{x:e}"[0] in "2357" else "")
    ax.grid(axis="x", which="both", linewidth=0.3, alpha=0.5)


def _curves(ax: Axes, curves: pd.DataFrame, label: str) -> None:
    """Draw one score over the slice thickness, a curve per level, and the spline's where it is known."""
    for (level, curve), colour in zip(curves.groupby("level", sort=False), CYCLE, strict=False):
        ax.errorbar(
            curve["thickness_mm"], curve["value"], curve["sd"], color=colour, marker="o", capsize=2, label=level
        )
    ax.set(xlabel="slice thickness (mm)", ylabel=label, xticks=sorted(curves["thickness_mm"].unique()))
    spline = curves.dropna(subset="spline").drop_duplicates("thickness_mm")
    if len(spline):
        ax.legend(ax.plot(spline["thickness_mm"], spline["spline"], color=GREY, linestyle="--"), ["cubic spline"])
    else:
        ax.legend(title="trained on")
