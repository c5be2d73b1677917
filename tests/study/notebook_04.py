import json
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pandas as pd

from segsrgan_study.figures.style import new_figure
from segsrgan_study.steps.scores.measure import volume_table
from tests.settings import ROOT


def analyse(volumes: pd.DataFrame | None, reference_te_ms: int = 120) -> dict[str, Any]:
    """Return what the notebook writes as metrics.json, for a table of volumes or for none."""
    cells = nbformat.read(ROOT / "notebooks" / "04_epirmex_variability.ipynb", as_version=4).cells
    start = next(i for i, cell in enumerate(cells) if "analysis" in cell.metadata.get("tags", []))
    options = SimpleNamespace(reference_te_ms=reference_te_ms)
    with tempfile.TemporaryDirectory() as folder:
        names: dict[str, Any] = {
            "volumes": volume_table([]) if volumes is None else volumes,
            "not_run": "no images" if volumes is None else "",
            "cases": [],
            "settings": SimpleNamespace(seed=2021, cohort="embedded", variability=options),
            "study": SimpleNamespace(results=Path(folder)),
            "display": lambda *_: None,
            "new_figure": new_figure,
        }
        for cell in cells[start:]:
            if cell.cell_type == "code":
                exec(cell.source, names)
        return json.loads((Path(folder) / "variability" / "metrics.json").read_text(encoding="utf-8"))
