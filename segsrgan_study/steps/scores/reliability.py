"""A part of stage 03: whether the network's probabilities and standard errors hold what they promise."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from segsrgan_core.imaging.geometry import spacing_mm
from segsrgan_core.segmenter import Segmentation
from segsrgan_study.files import write_csv
from segsrgan_study.statistics.reliability import calibration_error, cover_of_volumes, pooled, reliability

COLUMNS = ["structure", "bin_low", "bin_high", "n_voxels", "mean_probability", "share_inside"]
VOLUMES = ["volume_ml", "volume_true_ml", "volume_se_ml"]


class Reliability:
    """Gathers the test cases' probabilities in bins, structure by structure."""

    def __init__(self):
        self._bins: dict[str, list[pd.DataFrame]] = {}

    def add(
        self, result: Segmentation, labels: np.ndarray, names: Mapping[int, str], who: Mapping[str, str]
    ) -> list[dict]:
        """Take in one case.

        Args:
            result: on the grid of the true labels.
            labels: the true ones, (X, Y, Z).
            names: label number to structure name; a structure without a voxel is left out.
            who: {"cohort": ..., "subject": ..., "method": ...}.

        Returns:
            Rows of the long table: each structure's expected calibration error and its volume's standard error.
        """
        rows, spacing = [], spacing_mm(result.labels)
        for number, name in names.items():
            truth = labels == number
            if truth.any():
                table = reliability(np.asarray(result.probabilities[name].dataobj), truth, spacing)
                self._bins.setdefault(name, []).append(table)
                scores = {"ece": calibration_error(table), "volume_se_ml": result.standard_errors_ml[name]}
                rows += [{**who, "structure": name, "metric": key, "value": value} for key, value in scores.items()]
        return rows

    def write(self, folder: Path) -> pd.DataFrame:
        """Write `calibration.csv`: the bins of each structure over all cases."""
        tables = [pooled(tables).assign(structure=name) for name, tables in self._bins.items()]
        frame = pd.concat(tables, ignore_index=True)[COLUMNS] if tables else pd.DataFrame(columns=COLUMNS)
        write_csv(folder / "calibration.csv", frame)
        return frame


def volume_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Return SegSRGAN's volumes out of the long table: subject, structure, volume_ml, volume_true_ml, volume_se_ml."""
    chosen = scores[(scores["method"] == "segsrgan") & scores["metric"].isin(VOLUMES)]
    wide = chosen.pivot(index=["subject", "structure"], columns="metric", values="value")
    return wide.reindex(columns=VOLUMES).dropna().reset_index()


def standard_errors(scores: pd.DataFrame, cases: int) -> dict[str, Any]:
    """Summarise how the standard errors did on the test cases, see `calibration.cover_of_volumes`."""
    return {"cases": cases, "structures": cover_of_volumes(volume_table(scores), cases)}
