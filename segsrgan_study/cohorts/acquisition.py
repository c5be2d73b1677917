"""How an image was acquired: echo and repetition time, age and site, from wherever a folder says so."""

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.tables import read_bytes, read_table, refuse
from segsrgan_study.files import stem

METADATA = ("subject", "session", "te_ms", "tr_ms", "age_weeks", "site")


def times_of_name(name: str) -> dict[str, str]:
    """Read echo and repetition time in ms from a path: `te120`, `TE_120ms`, `tr-3000`."""
    found = {}
    for key in ("te", "tr"):
        match = re.search(rf"(?i)(?<![a-z0-9]){key}[_-]?(\d+(?:\.\d+)?)(?:ms)?(?![a-z0-9])", name)
        if match:
            found[f"{key}_ms"] = match[1]
    return found


def times_of_sidecar(image: Path) -> dict[str, float]:
    """Read echo and repetition time from the BIDS JSON beside an image, which gives seconds; returns ms.

    Raises:
        UserError: the JSON file is broken.
    """
    path = image.parent / f"{stem(image)}.json"
    if not path.is_file():
        return {}
    try:
        content = json.loads(read_bytes(path))
    except ValueError as error:
        raise UserError(f"{path}: expected a JSON file; it could not be read ({error}).") from error
    names = {"EchoTime": "te_ms", "RepetitionTime": "tr_ms"}
    values = {names[key]: content.get(key) for key in names} if isinstance(content, dict) else {}
    return {key: round(1000.0 * value, 6) for key, value in values.items() if isinstance(value, (int, float))}


def bids_ages(folder: Path) -> dict[tuple[str, str], str]:
    """Read ages at the scan, in weeks, from `sub-*_sessions.tsv`, else `participants.tsv` (column scan_age).

    Returns:
        (subject, session), without `sub-` and `ses-`, to age; the session is "" where the table knows none.
    """
    ages = {}
    for path in [folder / "participants.tsv", *sorted(folder.glob("sub-*/sub-*_sessions.tsv"))]:
        text = read_bytes(path).decode("utf-8-sig", "replace") if path.is_file() else ""
        for row in csv.DictReader(text.splitlines(), delimiter="\t"):
            subject = row.get("participant_id") or path.name.partition("_")[0]
            session = row.get("session_id") or ""
            if re.fullmatch(r"[0-9.]+", row.get("scan_age") or ""):
                ages[subject.removeprefix("sub-"), session.removeprefix("ses-")] = row["scan_age"]
    return ages


def listed_ages(path: Path, subjects: Sequence[str]) -> dict[str, str]:
    """Read `ages.csv` of DrawEM's atlases: a subject and an age in weeks a line, in either order, header or not.

    A subject may also be named by its number alone (`1` is `ALBERT_01`). Lines of other subjects are passed over.

    Raises:
        UserError: lists each line that names a subject but not one age.
    """
    ages, faults = {}, []
    lines = read_bytes(path).decode("utf-8-sig", "replace").splitlines() if path.is_file() else []
    for number, line in enumerate(lines, 1):
        fields = [field.strip(" \"'") for field in re.split(r"[,;\s]+", line.strip())]
        found = [(place, subject) for place, field in enumerate(fields) if (subject := _subject(field, subjects))]
        if found:
            place, subject = found[0]
            numbers = [
                field for field in fields[:place] + fields[place + 1 :] if re.fullmatch(r"[0-9]+\.?[0-9]*", field)
            ]
            ages[subject] = numbers[0] if numbers else ""
            if len(numbers) != 1:
                faults.append(f"line {number}: expected {subject} and one age in weeks; received {line.strip()!r}")
    refuse(path, faults)
    return ages


def _subject(field: str, subjects: Sequence[str]) -> str | None:
    named = [subject for subject in subjects if subject.casefold() == field.casefold()]
    numbered = [subject for subject in subjects if field.isdecimal() and _number(subject) == int(field)]
    return next(iter(named or numbered), None)


def _number(subject: str) -> int | None:
    digits = re.search(r"\d+$", subject)
    return int(digits[0]) if digits else None


def read_metadata(path: str | Path, images: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read a table of acquisitions that a person wrote: image, and any of subject, session, te_ms, ... site.

    Args:
        path: CSV; `image` is a path inside the folder, or a file name if only one image has it.
        images: the paths of the images inside the folder.

    Returns:
        Image to the cells of its row that are not empty.

    Raises:
        UserError: lists every row whose image is not there, or is not one alone.
    """
    table = read_table(path, ("image",), METADATA)
    facts, faults = {}, []
    for line, cells in table.to_dict("index").items():
        name = cells.pop("image")
        found = [image for image in images if name == image] or [i for i in images if name == i.rpartition("/")[2]]
        if len(found) == 1:
            facts[found[0]] = {key: value for key, value in cells.items() if value}
        else:
            faults.append(f"line {line}: expected one image {name!r} in the folder; received {len(found)}")
    refuse(path, faults)
    return facts
