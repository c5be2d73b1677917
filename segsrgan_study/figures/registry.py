"""Figures of the paper in the order of the report. Adding one is its module and its line here."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from types import ModuleType
from typing import Any

from IPython.display import HTML

from segsrgan_core.atomic import write_json
from segsrgan_core.errors import UserError
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
    te_effect,
    te_overlay,
    variability_table,
)
from segsrgan_study.figures.inputs import Inputs
from segsrgan_study.figures.style import save
from segsrgan_study.statistics.summary import method_titles

# Section: each module, with CAPTION and `draw`, which returns the figure and its plotted values, and the arguments of
# `draw`. A figure has the name of its module.
SECTIONS: dict[str, dict[ModuleType, Callable[[Inputs], Sequence[Any]]]] = {
    "data": {
        anisotropic: lambda given: given.images("low"),
        simulation: lambda given: given.images("truth", "low", "spline"),
    },
    "method": {
        networks: lambda given: [networks.layers(given.study, given.settings)],
        learning: lambda given: [given.table("training/history.csv")],
    },
    "evaluation": {
        before_after: lambda given: given.images("low", "spline", "estimate", "truth", "labels", "truth_labels"),
        methods: lambda given: [
            given.table("evaluation/per_subject.csv"),
            method_titles(given.json("evaluation/metrics.json")),
        ],
        calibration: lambda given: [
            given.table("evaluation/calibration.csv"),
            given.table("evaluation/per_subject.csv"),
            given.json("evaluation/metrics.json"),
            *given.images("estimate", "labels", "uncertainty"),
        ],
        ablations: lambda given: [given.json("ablations/metrics.json")],
    },
    "variability": {
        variability_table: lambda given: [given.json("variability/metrics.json"), given.settings.cohort == "epirmex"],
        te_effect: lambda given: [given.table("variability/volumes.csv")],
        te_overlay: lambda given: [given.cortex_pairs(te_overlay.TE_MS)],
        bland_altman: lambda given: [given.table("variability/volumes.csv")],
        assumptions: lambda given: [given.table("variability/volumes.csv")],
    },
}
FIGURES = {module.__name__.rpartition(".")[2]: module for modules in SECTIONS.values() for module in modules}


@dataclass(frozen=True)
class Gallery:
    """The figures of one study, drawn into `results/figures`.

    Attributes:
        given: the study's results.
        missing: why figures could not be drawn, by name; also in `results/figures/missing.json`.
    """

    given: Inputs
    missing: dict[str, str] = field(default_factory=dict)

    def section(self, name: str) -> HTML:
        """Draw and save the figures of a section; where the results do not allow one, a sentence says why."""
        return HTML("\n".join(self._drawn(module, inputs) for module, inputs in SECTIONS[name].items()))

    def _drawn(self, module: ModuleType, inputs: Callable[[Inputs], Sequence[Any]]) -> str:
        folder, name = self.given.study.results / "figures", module.__name__.rpartition(".")[2]
        number, title = list(FIGURES).index(name) + 1, name.replace("_", " ")
        try:
            fig, values = module.draw(*inputs(self.given))
            save(fig, name, folder, values)
        except UserError as error:
            self.missing[name] = str(error)
            return f"<p><b>Figure {number}, {title}: not drawn.</b> {escape(str(error))}</p>"
        finally:
            write_json(folder / "missing.json", self.missing)
        source = base64.b64encode((folder / f"{name}.png").read_bytes()).decode()
        width = round(fig.get_size_inches()[0] * 25.4 * 1.3)  # larger than on paper, for screens
        image = f'<img src="data:image/png;base64,{source}" alt="{title}" style="width: {width}mm; max-width: 100%">'
        return f"<figure>{image}<figcaption><b>Figure {number}.</b> {escape(module.CAPTION)}</figcaption></figure>"
