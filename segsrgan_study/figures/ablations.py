"""The ablations: what each choice of network, objective and augmentation gives, over several seeds."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segsrgan_study.figures.style import BLUE, CYCLE, GREY, new_figure, panel_letters, require, styled

NAME = "ablations"
CAPTION = (
    "Ablations: short trainings that differ in one thing each. (a) Gain in PSNR over cubic spline and (b) Dice of the "
    "cortex on the test subjects; (c) coefficient of variation of the cortical volume over echo times within a "
    "patient, on a logarithmic scale. Small points are single seeds, large ones their mean. (d) PSNR and (e) Dice over "
    "the slice thickness, mean over the seeds with its standard deviation, of networks trained on slices of 3 mm, of 2 "
    "to 4 mm, and of 2 to 4 mm while they are told the thickness."
)
PANELS = {"psnr_gain": ("gain over spline (dB)", 1), "dice": ("Dice", 1), "te_cv": ("variation over TE (%)", 100)}
CURVES = {"psnr": "PSNR (dB)", "dice": "Dice"}
THICKNESS = "thickness"  # the factor whose levels are drawn as curves


@styled
def draw(metrics: Mapping[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """Draw `results/ablations/metrics.json`.

    Returns:
        The figure, and the plotted values: factor, level, score, thickness_mm (of the curves), seed, value.
    """
    require(bool(metrics.get("factors")), "results/ablations/metrics.json is not there; run `make ablations`.")
    levels = [(factor, level) for factor, entries in metrics["factors"].items() for level in entries]
    fig = new_figure(height_mm=5.2 * (len(levels) + len(metrics["factors"])) + 65)
    top, bottom = fig.subfigures(2, 1, height_ratios=[5.2 * len(levels) + 20, 62])
    axes = list(top.subplots(1, len(PANELS), sharey=True))
    rows = [_dots(ax, metrics["factors"], score) for ax, score in zip(axes, PANELS, strict=True)]
    curves = list(bottom.subplots(1, len(CURVES)))
    rows += [_curves(ax, metrics, score) for ax, score in zip(curves, CURVES, strict=True)]
    panel_letters(axes + curves)
    return fig, pd.concat([pd.DataFrame(part) for part in rows], ignore_index=True)


def _dots(ax: Axes, factors: Mapping[str, Mapping], score: str) -> list[dict]:
    label, scale = PANELS[score]
    rows, names, y = [], {}, 0.0
    for number, (factor, levels) in enumerate(factors.items()):
        names[y] = factor
        for level, entry in levels.items():
            y += 1
            names[y] = f"{level}  "
            known = entry[score]
            if known:
                values = [scale * value for value in known["values"]]
                color = CYCLE[number % len(CYCLE)]
                ax.plot(values, [y] * len(values), "o", color=color, markersize=2.2, alpha=0.5, markeredgewidth=0)
                ax.plot([scale * known["mean"]], [y], "o", color=color, markersize=4.5)
                facts = {"factor": factor, "level": level, "score": score}
                rows += [{**facts, "seed": i, "value": value} for i, value in enumerate(known["values"], start=1)]
        y += 1.3
    ax.set_yticks(list(names), list(names.values()))
    ax.set_ylim(y - 0.8, -0.6)
    for text in ax.get_yticklabels():
        text.set_fontweight("bold" if text.get_text() in factors else "normal")
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(label)
    if score == "te_cv" and rows:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(lambda x, _: f"{x:g}" if f"{x:e}"[0] in "2357" else "")
    ax.grid(axis="x", which="both", linewidth=0.3, alpha=0.5)
    return rows


def _curves(ax: Axes, metrics: Mapping[str, Any], score: str) -> list[dict]:
    rows = []
    for level, color in zip(metrics["factors"].get(THICKNESS, {}), (BLUE, *CYCLE[1:]), strict=False):
        curve = metrics["curves"][metrics["factors"][THICKNESS][level]["run"]]
        places, known = [float(mm) for mm in curve], [entry[score] for entry in curve.values()]
        means, sds = [entry["mean"] for entry in known], [entry["sd"] or 0 for entry in known]
        ax.errorbar(places, means, sds, color=color, marker="o", capsize=2, label=level)
        rows += [
            {"factor": THICKNESS, "level": level, "score": score, "thickness_mm": mm, "value": mean}
            for mm, mean in zip(places, means, strict=True)
        ]
        splines = [entry.get(f"{score}_spline", {}).get("mean") for entry in curve.values()]
    ax.set(xlabel="slice thickness (mm)", ylabel=CURVES[score])
    if rows:
        ax.set_xticks(places)
        if None in splines:
            ax.legend(title="trained on")
        else:
            line = ax.plot(places, splines, color=GREY, linestyle="--")
            ax.legend(line, ["cubic spline"])
    return rows
