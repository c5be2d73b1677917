"""The comparison of methods on the test subjects: box plots with every subject as a point."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segsrgan_study.figures.style import (
    CYCLE,
    METHOD_TITLES,
    method_title,
    new_figure,
    panel_letters,
    require,
    require_columns,
    styled,
)

NAME = "methods"
CAPTION = (
    "Comparison of methods on the test subjects. Each point is a subject (the same jitter in every panel), the boxes "
    "hold median and quartiles, the whiskers reach to the furthest subject within 1.5 interquartile ranges. Image "
    "metrics are over the whole image; the others are for the cortex. Methods without a segmentation are absent from "
    "the panels of the cortex. Higher is better for PSNR, SSIM and Dice, lower for the distances, and zero for the "
    "volume error."
)
PANELS = {
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "dice": "Dice",
    "hd95_mm": "95 % Hausdorff (mm)",
    "asd_mm": "surface distance (mm)",
    "volume_error": "volume error (%)",
}


@styled
def draw(
    scores: pd.DataFrame,
    titles: Mapping[str, str] = METHOD_TITLES,
    structure: str = "cortex",
    reference: str = "segsrgan",
) -> tuple[Figure, pd.DataFrame]:
    """Draw one panel a metric.

    Args:
        scores: the long table of `results/evaluation/per_subject.csv`.
        titles: the methods' names for readers.
        structure: whose segmentation scores are shown.
        reference: the method that stands first; the others follow by name.

    Returns:
        The figure, and the rows of `scores` that it shows.
    """
    require_columns(scores, ["subject", "method", "structure", "metric", "value"], "results/evaluation/per_subject.csv")
    shown = scores[scores["structure"].isin(["image", structure]) & scores["metric"].isin(list(PANELS))]
    require(len(shown) > 0, f"results/evaluation/per_subject.csv holds no score of the image or of {structure}.")
    metrics = [metric for metric in PANELS if (shown["metric"] == metric).any()]
    methods = sorted(shown["method"].unique(), key=lambda method: (method != reference, method))
    colours = {method: CYCLE[i % len(CYCLE)] for i, method in enumerate(methods)}
    rows = -(-len(metrics) // 3)
    fig = new_figure(height_mm=52 * rows + 4)
    axes = list(np.atleast_1d(fig.subplots(rows, min(3, len(metrics)))).flat)
    for ax, metric in zip(axes, metrics, strict=False):
        _panel(ax, shown[shown["metric"] == metric], methods, colours, titles)
        ax.set_ylabel(PANELS[metric])
        if metric == "volume_error":
            ax.axhline(0, color="black", linewidth=0.6, linestyle=":")
            ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}".replace("-", "\N{MINUS SIGN}"))
    for ax in axes[len(metrics) :]:
        ax.remove()
    panel_letters(axes[: len(metrics)])
    return fig, shown.reset_index(drop=True)


def _panel(
    ax: Axes, scores: pd.DataFrame, methods: list[str], colours: dict[str, str], titles: Mapping[str, str]
) -> None:
    subjects = sorted(scores["subject"].unique())
    jitter = dict(zip(subjects, np.linspace(-0.14, 0.14, len(subjects)) if len(subjects) > 1 else [0.0], strict=True))
    present = [method for method in methods if (scores["method"] == method).any()]
    for position, method in enumerate(present):
        part = scores[(scores["method"] == method) & np.isfinite(scores["value"])]
        line = {"color": colours[method], "linewidth": 0.8}
        looks = {"boxprops": line, "whiskerprops": line, "capprops": line, "medianprops": {**line, "linewidth": 1.4}}
        ax.boxplot(part["value"], positions=[position], widths=0.55, showfliers=False, **looks)
        places = position + part["subject"].map(jitter)
        ax.plot(places, part["value"], "o", color=colours[method], markersize=2.6, alpha=0.75, markeredgewidth=0)
    names = [method_title(method, titles) for method in present]
    long = any(len(name) > 9 for name in names) and len(names) > 2
    ax.set_xticks(range(len(present)), names, rotation=30 if long else 0, ha="right" if long else "center")
    if long:
        for label in ax.get_xticklabels():
            label.set_rotation_mode("anchor")
    ax.set_xlim(-0.6, len(present) - 0.4)
