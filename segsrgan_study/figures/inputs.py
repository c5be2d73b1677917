"""Results and images of a study that the figures are drawn from."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.classes import NUMBERS
from segsrgan_study.figures.style import require
from segsrgan_study.figures.views import mask_of
from segsrgan_study.files import load_image, load_labels
from segsrgan_study.paths import Study

PREPARED = {"low": "low", "spline": "interpolated", "truth": "hr", "truth_labels": "labels"}  # columns of cases.csv
EVALUATED = {"estimate": "_T2w", "labels": "_dseg", "uncertainty": "uncertainty_probseg"}  # ends of files
PATIENTS = 4  # at most, in the overlay of echo times


@dataclass(frozen=True)
class Inputs:
    """Reader of a study's results; each of its methods raises MissingResult where they are not there."""

    study: Study

    def table(self, name: str) -> pd.DataFrame:
        """A table by its name in `results/`."""
        try:
            table = pd.read_csv(self._existing(name), dtype={"subject": str})
        except pd.errors.EmptyDataError:
            table = pd.DataFrame()
        require(len(table) > 0, f"results/{name}: the table holds no rows; run its stage first.")
        return table

    def json(self, name: str) -> dict[str, Any]:
        """A file of JSON by its name in `results/`."""
        return json.loads(self._existing(name).read_text(encoding="utf-8"))

    def json_or_nothing(self, name: str) -> dict[str, Any]:
        """The same, or an empty dict where the file is not there."""
        return self.json(name) if (self.study.results / name).is_file() else {}

    def _existing(self, name: str) -> Path:
        path = self.study.results / name
        require(path.is_file(), f"results/{name}: the file is not there; run its stage first.")
        return path

    def images(self, *names: str) -> list[Nifti1Image]:
        """Images of the first test case by their names in `PREPARED` and, of SegSRGAN, `EVALUATED`."""
        prepared, evaluated = self.study.work / "prepared", self.study.work / "evaluated"
        require((prepared / "cases.csv").is_file(), "data/prepared/cases.csv: it is not there; run 01_simulate first.")
        cases = pd.read_csv(prepared / "cases.csv", dtype={"name": str}).query("split == 'test'")
        require(len(cases) > 0, "data/prepared/cases.csv: it holds no case of the split test to show.")
        case = cases.iloc[0]
        files = {name: prepared / str(case[column]) for name, column in PREPARED.items()}
        files |= {name: evaluated / f"{case['name']}_desc-segsrgan{end}.nii.gz" for name, end in EVALUATED.items()}
        return [(load_labels if name.endswith("labels") else load_image)(files[name]) for name in names]

    def cortex_pairs(self, te_ms: tuple[int, int]) -> dict[str, tuple[Nifti1Image, Nifti1Image]]:
        """Cortex masks at two echo times of the first patients by name that have both."""
        folder = self.study.work / "measured"
        first, second = (f"_acq-te{te}_desc-segsrgan_dseg.nii.gz" for te in te_ms)
        names = sorted(path.name.removesuffix(first) for path in folder.glob(f"*{first}"))
        shown = [name for name in names if (folder / f"{name}{second}").is_file()][:PATIENTS]
        pairs = {name: [load_labels(folder / f"{name}{end}") for end in (first, second)] for name in shown}
        return {name: tuple(mask_of(labels, NUMBERS["cortex"]) for labels in pair) for name, pair in pairs.items()}
