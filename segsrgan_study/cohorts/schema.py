"""Columns of a manifest, and the checks of each cell and between rows."""

import re
from collections.abc import Callable
from typing import NamedTuple

import pandas as pd
import pandera.pandas as pa

from segsrgan_study.cohorts.tables import column_faults

SPLITS = ("train", "val", "test", "variability")
FILES = ("image", "labels", "mask", "hr", "sides")
OPTIONAL = ("hr", "sides")
# The plausible range of each number catches a wrong unit, such as an echo time in seconds.
NUMBERS = {"te_ms": (1.0, 2000.0), "tr_ms": (100.0, 100_000.0), "age_weeks": (10.0, 200.0)}


class Row(NamedTuple):
    """One image of a manifest; text is "" and a number NaN where nothing is known."""

    cohort: str
    subject: str
    session: str
    split: str
    image: str
    labels: str
    mask: str
    te_ms: float
    tr_ms: float
    age_weeks: float
    site: str
    sha256: str
    hr: str = ""
    sides: str = ""

    @property
    def files(self) -> dict[str, str]:
        """The files of this row that are there: column to path relative to the data root."""
        return {column: getattr(self, column) for column in FILES if getattr(self, column)}


COLUMNS = Row._fields
REQUIRED = tuple(name for name in COLUMNS if name not in OPTIONAL)


_is_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*").fullmatch
_is_digests = re.compile(r"[0-9a-f]{64}(;[0-9a-f]{64}){0,4}").fullmatch


def _is_relative(text: str) -> bool:
    parts = text.split("/")
    return text.isprintable() and not ({"", ".", ".."} & set(parts) or "\\" in text or parts[0].endswith(":"))


def _is_number(low: float, high: float) -> Callable[[str], bool]:
    return lambda text: bool(re.fullmatch(r"[0-9]+(\.[0-9]*)?", text)) and low <= float(text) <= high


def _column(name: str, test: Callable[[str], object], expected: str, empty: bool = True) -> pa.Column:
    """Return a text column; the fault's sentence starts with the column's name, as `manifest_faults` needs it."""
    return pa.Column(
        str,
        pa.Check(
            lambda text: bool((empty and not text) or test(text)),
            element_wise=True,
            error=f"{name}: expected {expected}{', or nothing' if empty else ''}",
        ),
    )


_NAME = "a name of letters, digits, '_', '.' and '-'"
_PATH = "a path relative to the data root, with forward slashes and without '..'"
_SCHEMA = {
    "cohort": _column("cohort", _is_name, _NAME, empty=False),
    "subject": _column("subject", _is_name, _NAME, empty=False),
    "session": _column("session", _is_name, _NAME),
    "split": _column("split", SPLITS.__contains__, f"one of {', '.join(SPLITS)}", empty=False),
    "image": _column("image", _is_relative, _PATH, empty=False),
    **{name: _column(name, _is_relative, _PATH) for name in ("labels", "mask", "hr", "sides")},
    **{
        name: _column(name, _is_number(low, high), f"a number of {unit}, {low:g} to {high:g}")
        for (name, (low, high)), unit in zip(NUMBERS.items(), ("ms", "ms", "weeks"), strict=True)
    },
    "site": _column("site", str.isprintable, "printable text"),
    "sha256": _column("sha256", _is_digests, "64 lower-case hexadecimal digits a file, joined by ';'"),
}


def _one_side(frame: pd.DataFrame) -> pd.Series:
    """Tell for each row whether its subject stands on one side of train, val and test; `A` and `a` are one subject."""
    side = frame["split"].where(frame["split"] != "variability")
    return side.groupby(frame["subject"].str.casefold()).transform("nunique") <= 1


def _in_cohort(column: str) -> Callable[[pd.DataFrame], pd.Series]:
    def test(frame: pd.DataFrame) -> pd.Series:
        pairs = zip(frame[column], frame["cohort"], strict=True)
        return pd.Series([not path or path.startswith(f"{name}/") for path, name in pairs], frame.index)

    return test


def _digest_each(frame: pd.DataFrame) -> pd.Series:
    files = sum((frame[column] != "").astype(int) for column in FILES)
    return (frame["sha256"] == "") | (frame["sha256"].str.count(";") + 1 == files)


def _image_once(frame: pd.DataFrame) -> pd.Series:
    digest = frame["sha256"].str.slice(0, 64)
    return (digest == "") | ~digest.duplicated(keep=False)


def _labels_of_one(frame: pd.DataFrame) -> pd.Series:
    subjects = frame["subject"].groupby(frame["labels"]).transform("nunique")
    return (frame["labels"] == "") | (subjects == 1)


_ACROSS = [
    pa.Check(test, error=f"{column}: expected {expected}")
    for column, expected, test in (
        ("cohort", "one cohort a manifest", lambda frame: frame["cohort"] == frame["cohort"].iloc[0]),
        ("image", "each image once", lambda frame: ~frame["image"].duplicated(keep=False)),
        ("subject", "all images of a subject on one side of train, val and test", _one_side),
        *((column, "a path that starts with the cohort's name", _in_cohort(column)) for column in FILES),
        ("labels", "labels of this subject alone", _labels_of_one),
        (
            "labels",
            "labels in train, val and test",
            lambda frame: ~frame["split"].isin(SPLITS[:3]) | (frame["labels"] != ""),
        ),
        (
            "te_ms",
            "an echo time in variability",
            lambda frame: (frame["split"] != "variability") | (frame["te_ms"] != ""),
        ),
        (
            "hr",
            "the high-resolution truth of thick slices, in variability alone",
            lambda frame: (frame["split"] == "variability") | (frame["hr"] == ""),
        ),
        ("sha256", f"one checksum for each of {', '.join(FILES)} that is there", _digest_each),
        ("sha256", "different images; this one's content stands in two rows", _image_once),
    )
]


def with_optional(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a manifest with its optional columns, empty where they are missing."""
    return frame.assign(**{name: "" for name in OPTIONAL if name not in frame})


def manifest_faults(frame: pd.DataFrame) -> list[str]:
    """Return a sentence for each fault of a frame of text cells whose index is the line number."""
    faults = column_faults(frame, REQUIRED, OPTIONAL)
    frame = with_optional(frame)
    present = [name for name in COLUMNS if name in frame.columns]
    across = _ACROSS if len(present) == len(COLUMNS) and len(frame) else []
    schema = pa.DataFrameSchema({name: _SCHEMA[name] for name in present}, checks=across)
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases[["index", "schema_context", "check"]].drop_duplicates()
        cases["column"] = cases["check"].str.partition(":")[0]
        # A cell that is wrong in itself is told once, not again for what it does between rows.
        twice = cases.groupby(["index", "column"])["schema_context"].transform("nunique") > 1
        told = cases[~twice | (cases["schema_context"] == "Column")]
        for line, check, column in sorted(told[["index", "check", "column"]].itertuples(index=False, name=None)):
            image = frame.loc[line].get("image")
            where = f"line {line} ({image})" if image else f"line {line}"
            faults.append(f"{where}: {check}; received {frame.loc[line, column]!r}")
    return faults
