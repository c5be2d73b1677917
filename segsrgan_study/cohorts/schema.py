"""Columns of a manifest, and the checks of each cell and between rows."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pandas as pd
import pandera.pandas as pa

from segsrgan_study.cohorts.tables import column_faults

SPLITS = ("train", "val", "test", "variability")
FILES = ("image", "labels", "mask", "hr", "sides")
OPTIONAL = ("hr", "sides")
NUMBERS = ("te_ms", "tr_ms", "age_weeks")


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
_DIGEST = "([0-9a-f]{64}|md5:[0-9a-f]{32})"
_DIGESTS = re.compile(f"{_DIGEST}(;{_DIGEST}){{0,4}}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def _is_path(text: str) -> bool:
    parts = text.split("/")
    return text.isprintable() and not ({"", ".", ".."} & set(parts) or "\\" in text or parts[0].endswith(":"))


def _is_number(low: float, high: float) -> Callable[[str], bool]:
    return lambda text: bool(re.fullmatch(r"[0-9]+(\.[0-9]*)?", text)) and low <= float(text) <= high


def _cell(name: str, expected: str, test: Callable[[str], object]) -> pa.Column:
    """Return a text column; the fault's sentence starts with the column's name, as `manifest_faults` needs it."""
    must = name in ("cohort", "subject", "split", "image")
    error = f"{name}: expected {expected}{'' if must else ', or nothing'}"
    check = pa.Check(lambda text: bool(test(text) if text else not must), element_wise=True, error=error)
    return pa.Column(str, check, required=False)


# The plausible range of each number catches a wrong unit, such as an echo time in seconds.
_COLUMNS = {
    name: _cell(name, expected, test)
    for names, expected, test in (
        (("cohort", "subject", "session"), "a name of letters, digits, '_', '.' and '-'", _NAME.fullmatch),
        (("split",), f"one of {', '.join(SPLITS)}", SPLITS.__contains__),
        (FILES, "a path relative to the data root, with forward slashes and without '..'", _is_path),
        (("te_ms",), "a number of ms, 1 to 2000", _is_number(1, 2000)),
        (("tr_ms",), "a number of ms, 100 to 100000", _is_number(100, 100_000)),
        (("age_weeks",), "a number of weeks, 10 to 200", _is_number(10, 200)),
        (("site",), "printable text", str.isprintable),
        (("sha256",), "64 lower-case hexadecimal digits (or md5: and 32) a file, joined by ';'", _DIGESTS.fullmatch),
    )
    for name in names
}


def _rules(rows: pd.DataFrame) -> Iterator[tuple[str, str, pd.Series]]:
    """Yield what holds across columns and rows: a column, what is expected of it, and the rows where it is so."""
    acquired, digests, image = rows["split"] == "variability", rows["sha256"], rows["sha256"].str.partition(";")[0]
    # `A` and `a` are one subject.
    sides = rows["split"].where(~acquired).groupby(rows["subject"].str.casefold()).transform("nunique")
    owners = rows["subject"].groupby(rows["labels"]).transform("nunique")
    files = (rows[list(FILES)] != "").sum(axis=1)
    yield "cohort", "one cohort a manifest", rows["cohort"] == rows["cohort"].iloc[0]
    yield "image", "each image once", ~rows["image"].duplicated(keep=False)
    yield "subject", "all images of a subject on one side of train, val and test", sides <= 1
    for column in FILES:
        first = rows[column].str.partition("/")[0]
        yield column, "a path that starts with the cohort's name", (first == "") | (first == rows["cohort"])
    yield "labels", "labels of this subject alone", (rows["labels"] == "") | (owners == 1)
    yield "labels", "labels in train, val and test", ~rows["split"].isin(SPLITS[:3]) | (rows["labels"] != "")
    yield "te_ms", "an echo time in variability", ~acquired | (rows["te_ms"] != "")
    yield "hr", "the high-resolution truth of thick slices, in variability alone", acquired | (rows["hr"] == "")
    each = f"one checksum for each of {', '.join(FILES)} that is there"
    yield "sha256", each, (digests == "") | (digests.str.count(";") + 1 == files)
    different = "different images; this one's content stands in two rows"
    yield "sha256", different, (image == "") | ~image.duplicated(keep=False)


def manifest_faults(frame: pd.DataFrame) -> list[str]:
    """Return a sentence for each fault of text cells (OPTIONAL columns, too) whose index is the line number."""
    faults = column_faults(frame, COLUMNS)
    rules = _rules(frame) if set(COLUMNS) <= set(frame) and len(frame) else ()
    checks = [pa.Check(lambda _, kept=kept: kept, error=f"{name}: expected {text}") for name, text, kept in rules]
    try:
        pa.DataFrameSchema(_COLUMNS, checks).validate(frame, lazy=True)
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
