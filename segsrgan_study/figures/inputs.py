"""Results and images of a study that the figures are drawn from."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.classes import NUMBERS
from segsrgan_study.figures.panels import mask_of
from segsrgan_study.figures.style import MissingResult, require
from segsrgan_study.files import load_image, load_labels
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study


@dataclass(frozen=True)
class Inputs:
    """Reader of a study's results; each of its methods raises MissingResult where they are not there.

    Attributes:
        study: whose results are read.
        settings: in force.
    """

    study: Study
    settings: Settings

    def table(self, name: str) -> pd.DataFrame:
        """A table by its name in `results/`."""
        try:
            return pd.read_csv(self.study.results / name, dtype={"subject": str})
        except (OSError, pd.errors.EmptyDataError) as error:
            raise MissingResult(f"results/{name}: the table is not there or empty; run its stage first.") from error

    def json(self, name: str) -> dict[str, Any]:
        """A file of JSON by its name in `results/`."""
        path = self.study.results / name
        require(path.is_file(), f"results/{name}: the file is not there; run its stage first.")
        return json.loads(path.read_text(encoding="utf-8"))

    def json_or_nothing(self, name: str) -> dict[str, Any]:
        """The same, or an empty dict where the file is not there."""
        return self.json(name) if (self.study.results / name).is_file() else {}

    def images(self, *names: str) -> list[Nifti1Image]:
        """Images of the first test case.

        Args:
            names: of low (thick slices), spline (interpolated), truth, truth_labels, and SegSRGAN's estimate, labels
                and uncertainty.
        """
        return [self._example[name] for name in names]

    @cached_property
    def _example(self) -> dict[str, Nifti1Image]:
        prepared, evaluated = self.study.work / "prepared", self.study.work / "evaluated"
        require((prepared / "cases.csv").is_file(), "data/prepared/cases.csv: it is not there; run 01_simulate first.")
        cases = pd.read_csv(prepared / "cases.csv", dtype={"name": str})
        cases = cases[cases["split"] == "test"]
        require(len(cases) > 0, "data/prepared/cases.csv: it holds no case of the split test to show.")
        case = cases.iloc[0]
        start = f"{case['name']}_desc-segsrgan"
        return {
            "low": load_image(prepared / case["low"]),
            "spline": load_image(prepared / case["interpolated"]),
            "truth": load_image(prepared / case["hr"]),
            "truth_labels": load_labels(prepared / case["labels"]),
            "estimate": load_image(evaluated / f"{start}_T2w.nii.gz"),
            "labels": load_labels(evaluated / f"{start}_dseg.nii.gz"),
            "uncertainty": load_image(evaluated / f"{start}uncertainty_probseg.nii.gz"),
        }

    def cortex_pairs(self, te_ms: tuple[int, int], patients: int = 4) -> dict[str, tuple[Nifti1Image, Nifti1Image]]:
        """Cortex masks of patients at two echo times.

        Args:
            te_ms: the echo times.
            patients: at most, the first by name.
        """
        pairs = {}
        for path in sorted((self.study.work / "measured").glob(f"*_acq-te{te_ms[0]}_desc-segsrgan_dseg.nii.gz")):
            other = path.with_name(path.name.replace(f"acq-te{te_ms[0]}_", f"acq-te{te_ms[1]}_"))
            if other.is_file() and len(pairs) < patients:
                masks = [mask_of(load_labels(one), NUMBERS["cortex"]) for one in (path, other)]
                pairs[path.name.partition("_acq-")[0]] = tuple(masks)
        return pairs
