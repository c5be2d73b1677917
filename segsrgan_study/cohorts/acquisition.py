"""Echo and repetition time, age and site of an image, from the sources that a folder may have."""

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
    """Read echo and repetition time in ms from the BIDS JSON beside an image, which gives seconds.

    Raises:
        UserError: the JSON file is broken.
    """
    path = image.parent / f"{stem(image)}.json"
    if not path.is_file():
        return {}
    try:
        content = dict(json.loads(read_bytes(path)))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: expected a JSON file with keys and values ({error}); repair or remove it.") from error
    values = {"te_ms": content.get("EchoTime"), "tr_ms": content.get("RepetitionTime")}
    return {key: round(1000.0 * value, 6) for key, value in values.items() if isinstance(value, (int, float))}


def bids_ages(folder: Path) -> dict[tuple[str, str], str]:
    """Read ages at the scan, in weeks, from `sub-*_sessions.tsv`, else `participants.tsv` (column scan_age).

    Returns:
        Age by (subject, session), without `sub-` and `ses-`; the session is "" where the table has none.
    """
    ages = {}
    for path in [folder / "participants.tsv", *sorted(folder.glob("sub-*/sub-*_sessions.tsv"))]:
        for row in csv.DictReader(_lines(path), delimiter="\t"):
            subject = row.get("participant_id") or path.name.partition("_")[0]
            session = row.get("session_id") or ""
            if re.fullmatch(r"[0-9.]+", row.get("scan_age") or ""):
                ages[subject.removeprefix("sub-"), session.removeprefix("ses-")] = row["scan_age"]
    return ages


def listed_ages(path: Path, subjects: Sequence[str]) -> dict[str, str]:
    """Read `ages.csv` of DrawEM's atlases: a subject and an age in weeks per line, in either order.

    A subject may also be named by its number alone (`1` is `ALBERT_01`). Other lines are ignored.

    Raises:
        UserError: lists each line that names a subject but not one age.
    """
    names = {name.casefold(): name for name in subjects}
    names |= {str(int(digits[0])): name for name in subjects if (digits := re.search(r"\d+$", name))}
    ages, faults = {}, []
    for number, line in enumerate(_lines(path), 1):
        fields = [
            re.sub(r"^0+(?=\d+$)", "", field.strip(" \"'").casefold()) for field in re.split(r"[,;\s]+", line.strip())
        ]
        subject = next((field for field in fields if field in names), None)
        if subject is None:
            continue
        fields.remove(subject)
        numbers = [field for field in fields if re.fullmatch(r"[0-9]+\.?[0-9]*", field)]
        if len(numbers) == 1:
            ages[names[subject]] = numbers[0]
        else:
            faults.append(f"line {number}: expected {names[subject]} and one age in weeks; received {line.strip()!r}")
    refuse(path, faults)
    return ages


def _lines(path: Path) -> list[str]:
    return read_bytes(path).decode("utf-8-sig", "replace").splitlines() if path.is_file() else []


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
