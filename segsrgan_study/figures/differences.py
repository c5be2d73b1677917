"""Differences between subjects as each method finds them, against the true ones."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from segsrgan_study.figures.style import BLUE, GREY, METHOD_TITLES, Plot, lettered_panels, method_title, require, styled
from segsrgan_study.statistics.truth import found_differences, volume_shares


@styled
def draw(scores: pd.DataFrame, titles: Mapping[str, str] = METHOD_TITLES, structure: str = "cortex") -> Plot:
    """Draw a panel per method of `results/evaluation/per_subject.csv`: a point per subject, and their line."""
    shares = volume_shares(scores, structure)
    lines = found_differences(shares)
    methods = sorted((one for one in lines if "slope" in lines[one]), key=lambda one: (one != "segsrgan", one))
    require(len(methods) > 0, f"results/evaluation/per_subject.csv: fewer than three volumes of {structure} are known.")
    shown = shares[shares["method"].isin(methods)]
    ends = np.array([0.95, 1.05]) * [shown[["true", "found"]].min().min(), shown[["true", "found"]].max().max()]
    fig, axes = lettered_panels(len(methods), row_mm=50, columns=4)
    for ax, method in zip(axes, methods, strict=True):
        group, line = shown[shown["method"] == method], lines[method]
        ax.plot(ends, ends, color=GREY, linewidth=0.6, linestyle=":")
        true = np.sort(group["true"])
        ax.plot(true, np.exp(line["intercept"]) * true ** line["slope"], color=BLUE)
        ax.plot(group["true"], group["found"], "o", color=BLUE)
        said = f"{method_title(method, titles)}\nslope {line['slope']:.2f}"
        ax.text(0.03, 0.98, said, transform=ax.transAxes, va="top")
        ax.set(xlim=ends, ylim=ends, aspect="equal")
        ax.set(xlabel=f"true {structure} / ICV", ylabel=f"found {structure} / ICV")
    return fig, shown.reset_index(drop=True)
