"""CSV files as people make them, read with the line numbers that an editor shows."""

import csv
import io
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from segsrgan_core.errors import UserError

MOST_FAULTS = 50  # that are listed
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}


def parse_table(data: bytes) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of a CSV file as text ("" if empty) and the faults of its form, so that all are told at once.

    The index is the line that a row starts on; the header is line 1.
    """
    text, faults = data.decode("utf-8-sig", "replace"), []
    if "\ufffd" in text:
        line = text.partition("\ufffd")[0].count("\n") + 1
        faults.append(f"line {line}: this is not UTF-8 but another encoding; save it as 'CSV UTF-8'")
    if (separator := max(SEPARATORS, key=text.partition("\n")[0].count)) != ",":
        faults.append(f"{SEPARATORS[separator]} separate the fields, as Excel in some languages has it; use commas")
    reader, lines, start = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True), [], 1
    try:
        for fields in reader:
            lines.append((start, [field.strip() for field in fields]))
            start = reader.line_num + 1
    except csv.Error as error:
        unread = f"line {start}: {error}; correct the quotation marks, or save it as 'CSV UTF-8'"
        return pd.DataFrame(dtype=str), [*faults, unread]
    header = lines.pop(0)[1] if lines else []
    while header and not header[-1]:  # columns that Excel adds
        header.pop()
    if twice := [name for name in header if header.count(name) > 1]:
        return pd.DataFrame(dtype=str), [*faults, f"line 1: the column {twice[0]!r} stands there more than once"]
    rows: dict[int, list[str]] = {}
    for line, fields in lines:
        cells = fields if any(fields[len(header) :]) else fields[: len(header)]
        if any(cells) and len(cells) == len(header):
            rows[line] = cells
        elif any(cells):
            faults.append(f"line {line}: {len(fields)} fields, where the header has {len(header)}")
    if not rows:
        faults.append("there is no whole row below the header")
    return pd.DataFrame.from_dict(rows, orient="index", columns=header, dtype=str), faults


def column_faults(frame: pd.DataFrame, required: Collection[str], optional: Collection[str] = ()) -> list[str]:
    """Return a sentence for each column that is missing, and for each that nothing knows."""
    known = [*required, *optional]
    missing = [f"line 1: the column {name!r} is missing" for name in required if name not in frame]
    unknown = [name for name in frame if name not in known]
    return missing + [f"line 1: unknown column {name!r}; the columns are {', '.join(known)}" for name in unknown]


def read_table(path: str | Path, required: Collection[str], optional: Collection[str] = ()) -> pd.DataFrame:
    """Return a small CSV that a person wrote as text cells, indexed by line; a UserError lists every fault."""
    frame, faults = parse_table(read_bytes(path))
    refuse(path, faults + column_faults(frame, required, optional))
    return frame


def read_bytes(path: str | Path) -> bytes:
    """Return a file's bytes; a UserError if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: the file cannot be read ({error.strerror}).") from error


def refuse(what: str | Path, faults: list[str], advice: str = "") -> None:
    """Raise one UserError with a line for each fault, up to MOST_FAULTS; do nothing if there is none."""
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise UserError("\n- ".join([f"{what}: {count} to correct{advice}:", *faults[:MOST_FAULTS]]))
