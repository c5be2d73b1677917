"""The page of `explore_te`: move TE and TR, and watch contrast, contrast-to-noise and the segmentation move."""

import ipywidgets as widgets
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from segsrgan_core.errors import UserError
from segsrgan_core.imaging.contrast import Relaxation, contrast_to_noise, spin_echo
from segsrgan_core.segmenter import Segmenter
from segsrgan_study.cohorts.schema import Row
from segsrgan_study.explore.app import App, table
from segsrgan_study.explore.echo import FIELDS, REFERENCE_MS, Echo, Slab, cut_slab, height_in_voxels
from segsrgan_study.explore.looks import ACQUIRED_THICK, rows_by_subject, there
from segsrgan_study.figures.panels import contour, show, view_of
from segsrgan_study.figures.style import BLACK, BLUE, CORTEX, ORANGE, RED, SKY, styled
from segsrgan_study.params import read_params
from segsrgan_study.paths import Study, find_study
from segsrgan_study.steps.data.images import load_truth

TE_MS = np.linspace(20, 420, 81)
LOOKS = {"grey": (BLUE, "grey matter"), "white": (ORANGE, "white matter"), "csf": (SKY, "CSF")}
NO_NETWORK = (
    "No network is trained yet, so that nothing is segmented here: run `make repro` first. The physics needs none."
)


class TePage(App):
    """Two sliders, TE and TR, over one labelled image of the study's cohort.

    Args:
        study: where; the one of the current folder if not given.
    """

    def __init__(self, study: Study | None = None):
        super().__init__()
        self.study = study or find_study()
        self.settings = read_params(self.study.params)
        self._rows: dict[str, Row] = {}
        self._segmenter: Segmenter | None = None
        self._slab: Slab | None = None
        self._seen: dict[tuple, Echo] = {}
        slider = {"continuous_update": False, "layout": widgets.Layout(width="420px")}
        self.subject = widgets.Dropdown(description="subject")
        self.field = widgets.Dropdown(options=list(FIELDS), description="field")
        self.te = widgets.IntSlider(120, 40, 400, 20, description="TE (ms)", **slider)
        self.tr = widgets.IntSlider(12000, 2000, 16000, 1000, description="TR (ms)", **slider)
        self.numbers = widgets.HTML()
        self.subject.observe(self.guarded(self._choose), "value")
        for control in (self.field, self.te, self.tr):
            control.observe(self.guarded(self._draw), "value")
        self.guarded(self._start)()

    def body(self) -> list[widgets.Widget]:
        """Choice, sliders, pictures and curves, numbers."""
        choice = widgets.HBox([self.subject, self.field])
        return [choice, widgets.HBox([self.te, self.tr]), self.picture, self.numbers]

    def _start(self) -> None:
        from segsrgan_study.steps.scores.evaluate import trained_segmenter

        by_subject = rows_by_subject(self.study, self.settings.cohort)
        self._rows = {name: rows[0] for name, rows in by_subject.items() if _labelled(rows[0])}
        if not self._rows:
            raise UserError(
                f"{self.study.manifest(self.settings.cohort)}: expected a high-resolution image with labels; received "
                "none; choose another cohort in params.yaml."
            )
        there(self.study, self.settings, next(iter(self._rows.values())))
        if (self.study.results / "training" / "model" / "model.json").is_file():
            self._segmenter = trained_segmenter(self.study, self.settings)
        self.subject.options = list(self._rows)
        self.subject.value = next((n for n, row in self._rows.items() if row.split == "test"), next(iter(self._rows)))
        self._choose()

    def _choose(self) -> None:
        image, labels = load_truth(self.study, self.settings, self._rows[self.subject.value])
        self._slab = cut_slab(image, labels, height_in_voxels(image, self._segmenter))
        self._seen = {}
        self._draw()

    def _at(self, te_ms: float, tr_ms: float) -> Echo:
        key = (self.field.value, te_ms, tr_ms)
        if key not in self._seen:
            tissues = FIELDS[self.field.value]
            self._seen[key] = self._slab.at(te_ms, tr_ms, tissues, self.settings.simulation, self._segmenter)
        return self._seen[key]

    def _draw(self) -> None:
        self.say("Acquiring and segmenting ..." if self._segmenter else "")
        reference, echo = self._at(*REFERENCE_MS), self._at(self.te.value, self.tr.value)
        tissues, at = FIELDS[self.field.value], (self.te.value, self.tr.value)
        noise = self.settings.simulation.noise * _signal(tissues["csf"], *REFERENCE_MS)
        seen = {te: one for (field, te, tr), one in self._seen.items() if (field, tr) == (self.field.value, at[1])}
        self.show(_figure(self._slab, reference, echo, seen, tissues, at, noise))
        self.numbers.value = table(_numbers(self._slab, reference, echo, tissues, at, noise))
        self.say("" if self._segmenter else NO_NETWORK)


def _labelled(row: Row) -> bool:
    return bool(row.labels) and row.split != ACQUIRED_THICK


def _signal(tissue: Relaxation, te_ms, tr_ms: float):
    return spin_echo(tissue.m0, tissue.t1_ms, tissue.t2_ms, te_ms, tr_ms)


def _numbers(
    slab: Slab, reference: Echo, echo: Echo, tissues: dict[str, Relaxation], at: tuple[float, float], noise: float
) -> dict[str, str]:
    signals = {name: _signal(tissue, *at) for name, tissue in tissues.items()}
    numbers = {f"signal of {LOOKS[name][1]}": f"{signal:.3f}" for name, signal in signals.items()}
    numbers["white / grey"] = f"{signals['white'] / signals['grey']:.2f}"
    ratio = contrast_to_noise(tissues["grey"], tissues["white"], *at, noise)
    numbers["contrast-to-noise, grey to white"] = f"{ratio:.1f}"
    if echo.found is not None:
        change = "no cortex found there"
        if reference.volume_ml:
            change = f"{100 * (echo.volume_ml / reference.volume_ml - 1):+.1f} %"
        numbers["cortex in this slab"] = f"{echo.volume_ml:.1f} ml (truth {slab.cortex_ml:.1f} ml)"
        numbers["against TE 120 ms, TR 12 s"] = change
        numbers["Dice with the truth"] = f"{echo.dice:.3f}"
    return numbers


@styled
def _figure(slab, reference, echo, seen: dict[float, Echo], tissues, at: tuple[float, float], noise: float) -> Figure:
    fig = Figure(figsize=(11, 5.6), layout="constrained")
    left, right = fig.subfigures(1, 2, width_ratios=(1.9, 1))
    _pictures(left, reference, echo)
    signal, ratio, volume = right.subplots(3, 1, sharex=True)
    _signals(signal, tissues, at)
    _ratios(ratio, tissues, at, noise)
    _volumes(volume, slab, seen, at[0])
    volume.set_xlabel("TE (ms)")
    return fig


def _pictures(fig: SubFigure, reference: Echo, echo: Echo) -> None:
    view = view_of(echo.spline)
    axes = fig.subplot_mosaic([["axial", "coronal"], ["axial", "sagittal"]], width_ratios=(1.05, 1))
    for plane, ax in axes.items():
        show(ax, echo.spline, plane, view)
        for found, colour in ((reference.found, "white"), (echo.found, CORTEX)):
            if found is not None:
                contour(ax, found, plane, view, colour)
    axes["axial"].set_title("cubic spline; cortex found at TE 120 ms (white) and here (red)")


def _signals(ax: Axes, tissues: dict[str, Relaxation], at: tuple[float, float]) -> None:
    for name, tissue in tissues.items():
        colour, title = LOOKS[name]
        ax.plot(TE_MS, _signal(tissue, TE_MS, at[1]), color=colour, label=title)
    _finish(ax, "signal (M0 of CSF is 1)", at[0])


def _ratios(ax: Axes, tissues: dict[str, Relaxation], at: tuple[float, float], noise: float) -> None:
    ratio = contrast_to_noise(tissues["grey"], tissues["white"], TE_MS, at[1], noise)
    ax.plot(TE_MS, ratio, color=RED, label="grey to white matter")
    ax.set_ylim(bottom=0)
    _finish(ax, "contrast-to-noise", at[0])


def _volumes(ax: Axes, slab: Slab, seen: dict[float, Echo], te_ms: float) -> None:
    points = pd.Series({te: echo.volume_ml for te, echo in seen.items()}).sort_index().dropna()
    ax.plot(points.index, points, "o-", color=CORTEX, label="found so far")
    ax.axhline(slab.cortex_ml, color=BLACK, linestyle=":", label="truth")
    ax.set_xlim(TE_MS[0], TE_MS[-1])
    _finish(ax, "cortex in the slab (ml)", te_ms)


def _finish(ax: Axes, label: str, te_ms: float) -> None:
    ax.axvline(te_ms, color=BLACK, linewidth=0.8)
    ax.set_ylabel(label)
    ax.legend()
