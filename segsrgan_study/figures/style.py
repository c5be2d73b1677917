"""Style of all figures, and their files.

Figures are at most two journal columns wide. They are plain `Figure` objects (no pyplot state); the files of a
figure that is drawn again from the same data are byte-identical.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from segsrgan_core.atomic import atomic
from segsrgan_core.errors import UserError
from segsrgan_study.files import write_csv

if TYPE_CHECKING:  # matplotlib takes half a second: it is loaded where something is drawn with it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Plot = tuple["Figure", pd.DataFrame]  # a figure, and the values that are plotted in it
TWO_COLUMNS_MM = 190.0

# Okabe and Ito's palette: told apart under all common colour blindnesses.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, BLACK, GREY = "#56B4E9", "#CC79A7", "#000000", "#777777"
CORTEX = "#FF3030"  # red as in the talk: always drawn on grey, black or white
CYCLE = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY, BLACK)
ON_GREY = (BLUE, "#F0E442", GREEN, PURPLE, ORANGE, RED, "#FFFFFF")  # of other tissues than the cortex on dark pictures

METHOD_TITLES = {"segsrgan": "SegSRGAN", "spline": "cubic spline"}  # those of the baselines come with their results

STYLE = {"font.size": 7, "axes.titlesize": 7.5, "legend.frameon": False}
STYLE |= {"axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6}
STYLE |= {"xtick.major.width": 0.6, "ytick.major.width": 0.6, "lines.linewidth": 1.0, "lines.markersize": 3.0}
STYLE |= {"axes.prop_cycle": f"cycler(color={list(CYCLE)})", "figure.dpi": 150}
STYLE |= {"pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "segsrgan"}

UNDATED = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}, ".png": {"Software": None}}  # metadata left out


class MissingResult(UserError):  # noqa: N818 (it names what is missing, and is no fault)
    """A figure cannot be drawn; the message names the missing result and what makes it."""


def styled(draw: Callable) -> Callable:
    """Decorate a drawing function to run in this style, whatever the caller's matplotlib settings are."""

    @wraps(draw)
    def with_style(*args, **kwargs):
        import matplotlib

        with matplotlib.rc_context({**matplotlib.rcParamsDefault, **STYLE}):
            return draw(*args, **kwargs)

    return with_style


def new_figure(height_mm: float, width_mm: float = TWO_COLUMNS_MM, layout: str | None = "constrained") -> "Figure":
    """An empty figure of a size in mm, with a layout in which labels do not overlap, or None to place them oneself."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_mm / 25.4, height_mm / 25.4), layout=layout)


def lettered_panels(
    count: int, row_mm: float, columns: int = 3, width_mm: float = TWO_COLUMNS_MM, **options: Any
) -> "tuple[Figure, list[Axes]]":
    """A figure with panels a, b, c ..., row by row, `columns` in a row at most; options are of `Figure.subplots`."""
    rows = -(-count // columns)
    fig = new_figure(row_mm * rows, width_mm)
    axes = list(fig.subplots(rows, min(columns, count), squeeze=False, **options).flat)
    for ax in axes[count:]:
        ax.remove()
    panel_letters(axes[:count])
    return fig, axes[:count]


def panel_letters(axes: "Sequence[Axes]") -> None:
    """Mark panels a, b, c ... in bold, over their upper left corners."""
    for letter, ax in zip(ascii_lowercase, axes, strict=False):
        ax.set_title(letter, loc="left", fontweight="bold", fontsize=9)


def method_title(method: str, titles: Mapping[str, str] = METHOD_TITLES) -> str:
    """The name of a method as printed; `titles` are those of the baselines, by their names in the tables of results."""
    return METHOD_TITLES.get(method) or titles.get(method, method.replace("_", " "))


def require(condition: bool, missing: str) -> None:
    """Raise MissingResult with the sentence `missing`, unless `condition` holds."""
    if not condition:
        raise MissingResult(missing)


@styled
def save(fig: "Figure", name: str, folder: Path, table: pd.DataFrame) -> list[Path]:
    """Write a figure as PDF, SVG and PNG (300 dpi), see `write_figure`, and its plotted values as CSV."""
    files = [write_figure(fig, folder / f"{name}{suffix}") for suffix in UNDATED]
    return [*files, write_csv(folder / f"{name}.csv", table)]


@styled
def write_figure(fig: "Figure", path: Path, dpi: float = 300) -> Path:
    """Write a figure to a file of a kind in UNDATED, without its date, and fix its layout; returns its path."""
    if fig.get_layout_engine() is not None:
        fig.draw_without_rendering()
        fig.set_layout_engine("none")
        for ax in fig.axes:  # the last digits of a layout differ from run to run, and grey levels and ids with them
            ax.set_position(np.round(ax.get_position(original=True).bounds, 9))
    return atomic(path, lambda part: fig.savefig(part, metadata=UNDATED[path.suffix], dpi=dpi))
