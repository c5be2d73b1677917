"""The prepared cases as the stages after the first find them on disk."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from segsrgan_core.errors import UserError
from segsrgan_study.paths import Study

CASES = "cases.csv"


def case_name(subject: str, session: str) -> str:
    """Return the name that results use: the subject, and the session where there is one."""
    return f"{subject}_{session}" if session else subject


@dataclass(frozen=True)
class PreparedCase:
    """One subject's images on disk.

    Attributes:
        name: subject, and session where there is one.
        split: train, val or test.
        age_weeks: nan where unknown.
        image: high-resolution T2w image.
        labels: its labels, drawem9 numbers.
        low: the simulated thick-slice image.
        sides: left (1) and right (2) within the skull.
    """

    name: str
    split: str
    age_weeks: float
    image: Path
    labels: Path
    low: Path
    sides: Path


def prepared_cases(study: Study, split: str) -> Iterator[PreparedCase]:
    """Yield the cases of a split that `prepare` wrote."""
    folder = study.work / "prepared"
    if not (folder / CASES).is_file():
        raise UserError(
            f"{folder / CASES}: expected the prepared cases; received nothing there; run 01_simulate first."
        )
    table = pd.read_csv(folder / CASES, dtype={"name": str})
    for row in table[table["split"] == split].itertuples():
        files = (folder / name for name in (row.image, row.labels, row.low, row.sides))
        yield PreparedCase(row.name, split, row.age_weeks, *files)
