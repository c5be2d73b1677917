"""Learning curves: the losses of generator and critic, and the validation subjects' scores."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segsrgan_study.figures.style import CYCLE, GREY, panels_of_three, require, require_columns, styled

CAPTION = (
    "Learning curves: (a) the generator's reconstruction loss; (b) its losses of the segmentation; (c) the adversarial "
    "term and the critic's loss, from where the critic takes part; (d) PSNR of whole validation subjects, with "
    "cubic-spline interpolation as a dashed line; (e) their Dice; (f) the generator's learning rate. A panel is left "
    "out where its curve was not recorded; losses are means over an epoch's steps."
)
# Columns and names, label of the vertical axis. A column ending in * stands for all that begin so.
PANELS = (
    ({"loss_rec": "reconstruction"}, "reconstruction loss"),
    ({"loss_dice": "soft Dice", "loss_ce": "cross-entropy"}, "segmentation losses"),
    ({"loss_adv": "adversarial", "loss_critic": "critic"}, "adversarial losses"),
    ({"val_psnr": "SegSRGAN", "val_psnr_spline": "cubic spline"}, "validation PSNR (dB)"),
    ({"val_dice_*": ""}, "validation Dice"),
    ({"learning_rate": "learning rate"}, "learning rate"),
)


@styled
def draw(history: pd.DataFrame, along: str = "epoch", smooth: int = 1) -> tuple[Figure, pd.DataFrame]:
    """Draw `results/training/history.csv`, or the curve of a running training.

    Args:
        history: a column `along` and any of those of PANELS.
        along: the horizontal axis, "epoch" or "step".
        smooth: rows of the moving average that is drawn over the losses themselves; 1 draws them alone.

    Returns:
        The figure, and the columns that it shows.
    """
    require_columns(history, [along], "results/training/history.csv")
    panels = [(_recorded(history, names), label) for names, label in PANELS]
    drawn = [(names, label) for names, label in panels if names]
    require(bool(drawn), "results/training/history.csv holds no loss and no validation score.")
    fig, axes = panels_of_three(len(drawn), row_mm=48)
    for ax, (names, label) in zip(axes, drawn, strict=True):
        _curves(ax, history, names, along, smooth)
        ax.set(xlabel=along, ylabel=label)
    return fig, history[[along, *(name for names, _ in drawn for name in names)]]


def _recorded(history: pd.DataFrame, names: dict[str, str]) -> dict[str, str]:
    """Columns that the history has, with their names; each column that a name with * stands for."""
    found = {}
    for column, name in names.items():
        start = column.removesuffix("*")
        matching = [c for c in history if c == column or (column != start and c.startswith(start))]
        found |= {c: name or c.removeprefix(start).replace("_", " ") for c in matching if history[c].notna().any()}
    return found


def _curves(ax: Axes, history: pd.DataFrame, names: dict[str, str], along: str, smooth: int) -> None:
    for (column, name), color in zip(names.items(), CYCLE * len(names), strict=False):
        points = history[[along, column]].dropna()
        spline = column.endswith("_spline")
        look = {"color": GREY, "linestyle": "--"} if spline else {"color": color}
        if smooth > 1 and column.startswith("loss_"):
            ax.plot(points[along], points[column], **look, linewidth=0.5, alpha=0.4)
            points = points.assign(**{column: points[column].rolling(smooth, min_periods=1).mean()})
        marker = "o" if len(points) <= 30 and not spline else ""
        ax.plot(points[along], points[column], marker=marker, label=name, **look)
    if len(names) > 1:
        ax.legend(handlelength=1.6)
    first, last = history[along].min(), history[along].max()
    margin = 0.05 * max(last - first, 1)
    ax.set_xlim(first - margin, last + margin)
    ax.xaxis.get_major_locator().set_params(integer=True)
