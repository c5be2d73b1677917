"""From a folder to the rows of a manifest: which files there are and which of them belong together."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import pandas as pd

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.acquisition import (
    METADATA,
    bids_ages,
    listed_ages,
    read_metadata,
    times_of_name,
    times_of_sidecar,
)
from segsrgan_study.cohorts.schema import COLUMNS, FILES, SPLITS
from segsrgan_study.cohorts.splits import Share, choose, deal
from segsrgan_study.cohorts.tables import refuse
from segsrgan_study.files import stem

BIDS_NAMES = r"(?:^|/)(?P<subject>sub-[^_/]+)(?:[_/](?P<session>ses-[^_/]+))?"
Files = dict[str, tuple[str, ...]]
"""Path inside the folder to what the stars of the glob stand for there."""


@dataclass(frozen=True)
class Preset:
    """How to read a kind of folder.

    Globs know `*`, `?`, `**/` and a last `.nii*` (`.nii` or `.nii.gz`); of several, the first that finds a file is
    used. An image and its labels belong together if the stars stand for the same in both.

    Attributes:
        name: of the preset, and of the cohort where no other is given.
        globs: by column of the manifest (image, labels, mask, hr, sides), relative to the folder.
        convention: a name in `labels.CONVENTIONS`, or the label mapping itself.
        names: regular expression that is searched in an image's path; its groups are columns of the manifest.
        split: puts every image into this split.
        split_by: the column whose equal values stay on one side: "subject" or "age_weeks".
        val: how many groups validate.
        test: how many groups test.
    """

    name: str
    globs: Mapping[str, tuple[str, ...]]
    convention: str | Mapping[int, int] = "drawem9"
    names: str = BIDS_NAMES
    split: str = ""
    split_by: str = "subject"
    val: Share = 0.1
    test: Share = 0.2


def scan(
    preset: Preset,
    folder: str | Path,
    seed: int = 0,
    cohort: str = "",
    split: str | Path = "",
    metadata: str | Path | None = None,
) -> pd.DataFrame:
    """Make a manifest from a folder; nothing is written.

    Args:
        preset: how to read the folder.
        folder: where the images are.
        seed: of the split.
        cohort: the cohort's name, first part of each path; the preset's if empty.
        split: a split's name for all images, or a CSV file (subject, split); the preset's rule if empty.
        metadata: CSV of acquisitions (`acquisition.read_metadata`); it goes before all other sources.

    Returns:
        One row an image with the manifest's columns; not yet validated.

    Raises:
        UserError: lists every fault of a kind at once.
    """
    folder, cohort = Path(folder), cohort or preset.name
    _check_names(preset.names)
    found = {column: _find(folder, preset.globs.get(column, ())) for column in FILES}
    others = {path for column in FILES[1:] for path in found[column]}
    images = {path: stars for path, stars in found["image"].items() if path not in others}
    if not images:
        raise UserError(
            f"{folder}: expected images named {' or '.join(preset.globs['image'])}; received none (links to folders "
            "are not followed); name the right folder or another glob."
        )
    rows = _rows(preset, folder, images, read_metadata(metadata, list(images)) if metadata else {})
    faults: list[str] = []
    for row in rows:
        for column in FILES[1:]:
            row[column] = _partner(row["image"], images[row["image"]], found[column], preset.names, faults)
    refuse(folder, faults)
    _split(preset, rows, seed, split)
    rows = [row for row in rows if row["split"]]
    for row in rows:
        row |= {"cohort": cohort} | {column: f"{cohort}/{row[column]}" for column in FILES if row[column]}
    return pd.DataFrame(rows).reindex(columns=list(COLUMNS), fill_value="")


def _check_names(names: str) -> None:
    try:
        groups = re.compile(names).groupindex.keys()
    except re.error as error:
        raise UserError(f"names: expected a regular expression; received {names!r} ({error}).") from error
    if not groups or not groups <= set(METADATA):
        raise UserError(f"names: expected groups (?P<name>...) called {', '.join(METADATA)}; received {names!r}.")


def _find(folder: Path, globs: Sequence[str]) -> Files:
    """Return what the first useful glob finds, in order of the path; hidden files are passed over."""
    if not folder.is_dir():
        raise UserError(
            f"{folder}: expected a folder of images; received {'a file' if folder.exists() else 'nothing'}."
        )
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    files = [path for path in files if not re.search(r"(^|/)\.", path)]
    for glob in globs:
        if glob.startswith(("/", "~")) or ".." in glob.split("/"):
            raise UserError(f"glob: expected one relative to the folder, without '..'; received {glob!r}.")
        pattern = _pattern(glob)
        found = {path: match.groups("") for path in files if (match := pattern.fullmatch(path))}
        if found:
            return found
    return {}


def _pattern(glob: str) -> re.Pattern[str]:
    meanings = {"**/": r"((?:[^/]+/)*)", "*": r"([^/]*)", "?": r"([^/])", ".nii*": r"\.nii(?:\.gz)?"}
    parts = re.split(r"(\*\*/|\.nii\*$|\*|\?)", glob)
    return re.compile("".join(meanings.get(part, re.escape(part)) for part in parts))


def _rows(preset: Preset, folder: Path, images: Files, metadata: Mapping[str, dict]) -> list[dict[str, Any]]:
    ages = bids_ages(folder)
    rows, faults = [], []
    for image, stars in images.items():
        match = re.search(preset.names, image)
        row: dict[str, Any] = {"subject": _subject(image, stars, preset.names), "session": "", **times_of_name(image)}
        try:
            row |= times_of_sidecar(folder / image)
        except UserError as error:
            faults.append(str(error))
        row |= {key: value for key, value in match.groupdict().items() if value} if match else {}
        row |= {"image": image, **metadata.get(image, {})}
        key = row["subject"].removeprefix("sub-"), row["session"].removeprefix("ses-")
        row.setdefault("age_weeks", ages.get(key) or ages.get((key[0], ""), ""))
        rows.append(row)
    listed = listed_ages(folder / "ages.csv", [row["subject"] for row in rows])
    for row in rows:
        row["age_weeks"] = row["age_weeks"] or listed.get(row["subject"], "")
    refuse(folder, faults)
    return rows


def _subject(image: str, stars: Sequence[str], names: str) -> str:
    """Name the subject: by the expression, else what the first star stands for, without echo and repetition time."""
    match = re.search(names, image)
    if match and match.groupdict().get("subject"):
        return match["subject"]
    first = next((star.partition("/")[0] for star in stars if star), stem(image))
    return re.sub(r"(?i)[_-]?(?<![a-z0-9])t[er][_-]?\d+(\.\d+)?(ms)?(?![a-z0-9]).*$", "", first) or first


def _partner(image: str, stars: tuple[str, ...], others: Files, names: str, faults: list[str]) -> str:
    """Return the file that belongs to an image, "" if none does; a doubtful case becomes a fault."""
    fitting = [path for path, found in others.items() if found == stars]
    name = _without_folders(stars)
    if not fitting and _subject(image, stars, names).removeprefix("sub-") in name:
        fitting = [path for path, found in others.items() if _same_id(name, _without_folders(found))]
    if len(fitting) > 1:
        faults.append(f"{image}: expected one file that belongs to it; received {', '.join(fitting)}; narrow the glob")
    return fitting[0] if len(fitting) == 1 else ""


def _without_folders(stars: Sequence[str]) -> str:
    """Join what the stars stand for, without the folders that `**/` passed through."""
    return "_".join(star for star in stars if star and not star.endswith("/"))


def _same_id(a: str, b: str) -> bool:
    """Tell whether two names share an id: a common start with a number in it, then words that are no ids.

    `P1_T2w` and `P1_dseg` do; `site1_P1` and `site1_P2` do not.
    """
    first, second = ([part for part in re.split(r"[^a-z0-9]+", name.lower()) if part] for name in (a, b))
    common = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))))
    rest = " ".join(first[common:] + second[common:])
    known = re.sub(r"\b(t[12]w?|v\d+|drawem\d+)\b", "", rest)
    return bool(re.search(r"\d", " ".join(first[:common]))) and not re.search(r"\d", known)


def _split(preset: Preset, rows: list[dict[str, Any]], seed: int, split: str | Path) -> None:
    """Set each row's split in place; "" where the split's file leaves the subject out."""
    whole = str(split or preset.split)
    if whole in SPLITS:
        sides, column = {row["subject"]: whole for row in rows}, "subject"
    elif whole and not Path(whole).is_file():
        raise UserError(f"split: expected one of {', '.join(SPLITS)}, or a CSV file; received {whole!r}.")
    elif whole:
        sides, column = choose([row["subject"] for row in rows], whole), "subject"
    else:
        column = preset.split_by
        sides = deal([str(row[column]) for row in rows], seed, preset.val, preset.test)
    for row in rows:
        row["split"] = sides.get(str(row[column]), "")
