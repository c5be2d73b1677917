"""Columns of a manifest, and the checks of each cell and between rows."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pandas as pd

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


# Columns, what a cell of them must be, and its test; a plausible range catches a wrong unit, such as seconds for ms.
_CELLS = (
    (("cohort", "subject", "session"), "a name of letters, digits, '_', '.' and '-'", _NAME.fullmatch),
    (("split",), f"one of {', '.join(SPLITS)}", SPLITS.__contains__),
    (FILES, "a path relative to the data root, with forward slashes and without '..'", _is_path),
    (("te_ms",), "a number of ms, 1 to 2000", _is_number(1, 2000)),
    (("tr_ms",), "a number of ms, 100 to 100000", _is_number(100, 100_000)),
    (("age_weeks",), "a number of weeks, 10 to 200", _is_number(10, 200)),
    (("site",), "printable text", str.isprintable),
    (("sha256",), "64 lower-case hexadecimal digits (or md5: and 32) a file, joined by ';'", _DIGESTS.fullmatch),
)


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


def _broken(frame: pd.DataFrame) -> Iterator[tuple[int, str, str]]:
    """Yield line, column and expectation of each cell that is wrong in itself, or may not be empty."""
    for names, expected, test in _CELLS:
        for name in (name for name in names if name in frame):
            must = name in ("cohort", "subject", "split", "image")
            for line in frame.index[[not (test(text) if text else not must) for text in frame[name]]]:
                yield line, name, f"{expected}{'' if must else ', or nothing'}"


def manifest_faults(frame: pd.DataFrame) -> list[str]:
    """Return a sentence for each fault of text cells (OPTIONAL columns, too) whose index is the line number."""
    found = set(_broken(frame))
    wrong = {(line, name) for line, name, _ in found}  # told once, not again for what the cell does between rows
    for name, expected, kept in _rules(frame) if set(COLUMNS) <= set(frame) and len(frame) else ():
        found |= {(line, name, expected) for line in frame.index[~kept] if (line, name) not in wrong}
    faults = column_faults(frame, COLUMNS)
    for line, check, name in sorted((line, f"{name}: expected {text}", name) for line, name, text in found):
        image = frame.loc[line].get("image")
        faults.append(f"line {line}{f' ({image})' if image else ''}: {check}; received {frame.loc[line, name]!r}")
    return faults
