"""Subject, echo and repetition time, age and site of images, from the sources that a folder may have."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segsrgan_study.cohorts.tables import read_bytes, read_table, refuse
from segsrgan_study.files import stem
from segsrgan_study.progress import say

METADATA = ("subject", "session", "te_ms", "tr_ms", "age_weeks", "site")
_TIME = r"(?i)(?<![a-z0-9]){}[_-]?(\d+(?:\.\d+)?)(?:ms)?(?![a-z0-9])"
_TR = r"(?:[_-]?(?<![a-z0-9])tr[_-]?[1-9]\d*(?:\.\d+)?(?:ms)?)?"
LONGEST_S = 100.0  # no time of a pulse sequence is longer
# At the end of a name, an echo time with or without a repetition time; TE001 or TR120 alone may be a patient's id.
TIMES = rf"(?i){_TR}[_-]?(?<![a-z0-9])te[_-]?[1-9]\d*(?:\.\d+)?(?:ms)?{_TR}(?:[_-]t2w?)?$"


def describe(
    folder: Path, images: Mapping[str, Sequence[str]], names: str, metadata: str | Path | None = None
) -> list[dict[str, Any]]:
    """Return what is known of images (path inside the folder to what the stars of its glob stand for), a row each.

    In rising order: the path (`te120`, `TE_120ms`, `tr-3000`), the BIDS JSON beside the image, the groups of the
    expression `names`, the CSV `metadata`, whose column `image` holds a path inside the folder, or a file name if only
    one image has it; an empty cell says nothing. Ages stand as well in BIDS's tables (column scan_age), or in DrawEM's
    `ages.csv`: a subject, or its number alone (`1` is `ALBERT_01`), and an age in weeks per line, in either order.

    A row has `image`, `own_name` (the subject by the expression, else what the first star stands for, without echo and
    repetition time) and of METADATA what is known. A UserError lists every fault of a kind at once.
    """
    table = _read_metadata(metadata, list(images)) if metadata else {}
    ages = bids_ages(folder)
    rows: list[dict[str, Any]] = []
    faults: list[str] = []
    for image, stars in images.items():
        match = re.search(names, image)
        named = {key: value for key, value in match.groupdict().items() if value} if match else {}
        first = next((star.partition("/")[0] for star in stars if star), stem(image))
        own = named.get("subject") or re.sub(TIMES, "", first) or first
        row = {"image": image, "own_name": own, "subject": own, "session": ""}
        row |= _times(image, folder / image, faults) | named | table.get(image, {})
        subject, session = row["subject"].removeprefix("sub-"), row["session"].removeprefix("ses-")
        row.setdefault("age_weeks", ages.get((subject, session)) or ages.get((subject, ""), ""))
        rows.append(row)
    refuse(folder, faults)
    listed = _listed_ages(folder / "ages.csv", [row["subject"] for row in rows])
    return [row | {"age_weeks": row["age_weeks"] or listed.get(row["subject"], "")} for row in rows]


def echo_time_ms(image: Path) -> float | None:
    """Return the echo time that the JSON beside an image gives, else its name; None if neither does."""
    te_ms = _times(image.name, image, []).get("te_ms")
    return None if te_ms is None else float(te_ms)


def _times(name: str, image: Path, faults: list[str]) -> dict[str, Any]:
    """Return te_ms and tr_ms as a name says them, or the JSON beside the image, which gives seconds and goes first."""
    named = {key: re.findall(_TIME.format(key), name) for key in ("te", "tr")}
    found = {f"{key}_ms": said[-1] for key, said in named.items() if said}  # what comes first may be an id
    if not (path := image.with_name(f"{stem(image)}.json")).is_file():
        return found
    try:
        content = dict(json.loads(read_bytes(path)))
    except (ValueError, TypeError, RecursionError) as error:
        faults.append(f"{path}: expected a JSON file with keys and values ({error}); repair or remove it.")
        return found
    values = {"te_ms": content.get("EchoTime"), "tr_ms": content.get("RepetitionTime")}
    seconds = {key: value for key, value in values.items() if type(value) in (int, float) and 0 < value < LONGEST_S}
    return found | {key: round(1000.0 * value, 6) for key, value in seconds.items()}


def bids_ages(folder: Path) -> dict[tuple[str, str], str]:
    """Return ages by (subject, session) out of a data set's `sub-*_sessions.tsv`, else `participants.tsv`, see `weeks`.

    The columns are scan_age or age_weeks, in any case; the session is "" without one. The age is "" where rows
    contradict each other, and where it is none that can be used, which a sentence tells.
    """
    ages = {}
    for path in [folder / "participants.tsv", *sorted(folder.glob("sub-*/sub-*_sessions.tsv"))]:
        header, *rows = [[cell.strip(" \"'") for cell in line.split("\t")] for line in _lines(path)] or [[]]
        for line, row in enumerate((dict(zip(map(str.lower, header), cells, strict=False)) for cells in rows), start=2):
            subject = row.get("participant_id") or path.name.partition("_")[0]
            who = subject.removeprefix("sub-"), (row.get("session_id") or "").removeprefix("ses-")
            text = row.get("scan_age") or row.get("age_weeks") or ""
            if text.casefold() in ("", "n/a", "na", "nan"):
                continue
            if not (age := weeks(text)):
                say(f"{path}: line {line}: the age {text[:20]!r} is not used; give weeks at the scan (39.3 or 39+2).")
            ages[who] = age if ages.get(who, age) == age else ""
    if not ages and (path := folder / "participants.tsv").is_file():
        say(f"{path}: no ages at the scan are in it; they stand in a column scan_age, separated by tabs, in UTF-8.")
    return ages


def weeks(text: str) -> str:
    """Return an age in weeks (39.3), or in weeks and days (39+2), as a decimal number of weeks; "" for other text."""
    found = re.fullmatch(r"([1-9]\d)(\+([0-6])|\.\d+)?", text.strip())
    return "" if not found else str(round(int(found[1]) + int(found[3]) / 7, 4)) if found[3] else found[0]


def _listed_ages(path: Path, subjects: Sequence[str]) -> dict[str, str]:
    """Read `ages.csv`; lines that name none of the subjects are passed over."""
    names = {name.casefold(): name for name in subjects}
    names |= {str(int(digits[0])): name for name in subjects if (digits := re.search(r"\d+$", name))}
    ages, faults = {}, []
    for number, line in enumerate(_lines(path), 1):
        fields = [field.strip(" \"'").casefold() for field in re.split(r"[,;\s]+", line.strip())]
        fields = [str(int(field)) if field.isdecimal() else field for field in fields]
        if (name := next((field for field in fields if field in names), None)) is not None:
            fields.remove(name)
            numbers = [field for field in fields if re.fullmatch(r"[0-9]+\.?[0-9]*", field)]
            if len(numbers) == 1:
                ages[names[name]] = numbers[0]
            else:
                faults.append(f"line {number}: expected {names[name]} and one age in weeks; received {line.strip()!r}")
    refuse(path, faults)
    return ages


def _lines(path: Path) -> list[str]:
    return read_bytes(path).decode("utf-8-sig", "replace").splitlines() if path.is_file() else []


def _read_metadata(path: str | Path, images: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read a table of acquisitions: image to the cells of its row that are not empty."""
    facts, faults = {}, []
    for line, cells in read_table(path, ("image",), METADATA).to_dict("index").items():
        name = cells.pop("image")
        found = [image for image in images if name == image] or [i for i in images if name == i.rpartition("/")[2]]
        if len(found) == 1:
            facts[found[0]] = {key: value for key, value in cells.items() if value}
        else:
            faults.append(f"line {line}: expected one image {name!r} in the folder; received {len(found)}")
    refuse(path, faults)
    return facts
