"""The table of prepared cases, the only input of the stages after the first."""

from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from segsrgan_core.errors import UserError
from segsrgan_study.paths import Study

CASES = "cases.csv"
NUMBERS = ("te_ms", "age_weeks")
FILES = ("low", "hr", "labels", "sides", "interpolated")


class PreparedCase(NamedTuple):
    """One image of the study. All files are in RAS+ order; None and nan stand for what is unknown."""

    name: str  # subject, and session where there is one
    stem: str  # unique; the names of the image's files begin with it; in `variability` the echo time is part of it
    split: str  # train, val, test or variability
    low: Path | None = None  # thick slices, simulated or as acquired; always known
    te_ms: float = nan  # echo time in ms
    age_weeks: float = nan  # postmenstrual age at the scan
    cohort: str = ""  # that it belongs to
    hr: Path | None = None  # high-resolution image without added noise
    labels: Path | None = None  # drawem9 numbers on the grid of `hr`, or on a grid of their own
    sides: Path | None = None  # left (1) and right (2) within the skull, on the grid of `labels`
    interpolated: Path | None = None  # cubic spline of `low` on the grid of `hr` and `labels`, where either is known
    resynthesised: bool = False  # whether the image was computed from a test case at another echo time


def case_table(cases: Sequence[PreparedCase], folder: Path) -> pd.DataFrame:
    """Return one row per case, the columns of `PreparedCase`; paths relative to a folder, "" where unknown."""
    table = pd.DataFrame(cases, columns=list(PreparedCase._fields))
    return table.assign(**table[list(FILES)].map(lambda path: path.relative_to(folder).as_posix() if path else ""))


def prepared_cases(study: Study, split: str) -> list[PreparedCase]:
    """Return the cases of a split in the order of the manifest; a UserError where stage 01 has not run."""
    folder = study.work / "prepared"
    if not (folder / CASES).is_file():
        raise UserError(f"{folder / CASES}: the table of cases is missing; run 01_simulate first.")
    table = pd.read_csv(folder / CASES, dtype=str, keep_default_na=False)
    rows = table[table["split"] == split].to_dict("records")
    for row in rows:
        row |= {name: folder / row[name] if row[name] else None for name in FILES}
        row |= {name: float(row[name]) if row[name] else nan for name in NUMBERS}
        row["resynthesised"] = row["resynthesised"] == "True"
    return [PreparedCase(**row) for row in rows]
