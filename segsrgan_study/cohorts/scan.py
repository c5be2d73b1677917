"""From a folder to the rows of a manifest: which files there are, which belong together, and who trains and tests."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.acquisition import METADATA, describe
from segsrgan_study.cohorts.schema import COLUMNS, FILES, SPLITS
from segsrgan_study.cohorts.tables import read_table, refuse

Share = str | float
"""How many: a fraction below 1, a count, or names with commas ("a,b" or "a,")."""


@dataclass(frozen=True)
class Preset:
    """How to read a kind of folder.

    Globs know `*`, `?`, `**/` and a last `.nii*` (`.nii` or `.nii.gz`); of several, the first that finds a file is
    used. An image and its labels belong together if the stars stand for the same in both.
    """

    name: str  # of the cohort, the first part of each path
    globs: Mapping[str, tuple[str, ...]]  # by column of the manifest (image, labels, mask, hr, sides)
    names: str = r"(?:^|/)(?P<subject>sub-[^_/]+)(?:[_/](?P<session>ses-[^_/]+))?"  # sought in an image's path
    metadata: str | Path = ""  # CSV of acquisitions, see `acquisition.describe`
    split: str | Path = ""  # one for all images, or a CSV file (subject, split)
    split_by: str = "subject"  # else: the column whose equal values stay on one side, "subject" or "age_weeks"
    val: Share = 0.1  # how many of these groups validate
    test: Share = 0.2  # how many test
    seed: int = 0  # of the split


def scan(preset: Preset, folder: str | Path) -> pd.DataFrame:
    """Return a manifest of a folder's images, not yet validated; a UserError lists every fault of a kind at once."""
    folder = Path(folder)
    _check_names(preset.names)
    found = {column: _find(folder, preset.globs.get(column, ())) for column in FILES}
    others = {path for column in FILES[1:] for path in found[column]}
    if not (images := {path: stars for path, stars in found["image"].items() if path not in others}):
        known = " or ".join(preset.globs["image"])
        raise UserError(f"{folder}: no image is named {known} (links are not followed); name another folder or glob.")
    rows = describe(folder, images, preset.names, preset.metadata)
    faults: list[str] = []
    for row in rows:
        for column in FILES[1:]:
            row[column] = _partner(row, images[row["image"]], found[column], faults)
    refuse(folder, faults)
    frame = pd.DataFrame(rows).reindex(columns=list(COLUMNS), fill_value="")
    frame["cohort"], frame["split"] = preset.name, _splits(preset, frame)
    for column in FILES:
        frame[column] = frame[column].where(frame[column] == "", f"{preset.name}/" + frame[column])
    return frame[frame["split"] != ""].reset_index(drop=True)


def _check_names(names: str) -> None:
    try:
        groups = re.compile(names).groupindex.keys()
    except re.error as error:
        raise UserError(f"names: {names!r} is not a regular expression ({error}).") from error
    if not groups or not groups <= set(METADATA):
        raise UserError(f"names: {names!r} must have groups (?P<name>...) called {', '.join(METADATA)}.")


def _find(folder: Path, globs: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the visible files that the first useful glob finds, in order, each with what its stars stand for."""
    if not folder.is_dir():
        raise UserError(f"{folder}: this is no folder; correct the path.")
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    files = [path for path in files if not re.search(r"(^|/)\.", path)]
    meanings = {"**/": r"((?:[^/]+/)*)", "*": r"([^/]*)", "?": r"([^/])", ".nii*": r"\.nii(?:\.gz)?"}
    for glob in globs:
        if glob.startswith(("/", "~")) or ".." in glob.split("/"):
            raise UserError(f"glob: {glob!r} must be relative to the folder, without '..'.")
        parts = re.split(r"(\*\*/|\.nii\*$|\*|\?)", glob)
        pattern = re.compile("".join(meanings.get(part, re.escape(part)) for part in parts))
        found = {path: match.groups("") for path in files if (match := pattern.fullmatch(path))}
        if found:
            return found
    return {}


def _partner(row: Mapping[str, Any], stars: tuple[str, ...], others: Mapping[str, tuple], faults: list[str]) -> str:
    """Return the file that belongs to an image, "" if none does; a doubtful case becomes a fault."""
    fitting = [path for path, found in others.items() if found == stars]
    name = _without_folders(stars)
    if not fitting and row["own_name"].removeprefix("sub-") in name:
        fitting = [path for path, found in others.items() if _same_id(name, _without_folders(found))]
    if len(fitting) > 1:
        faults.append(f"{row['image']}: several files belong to it: {', '.join(fitting)}; narrow the glob")
    return fitting[0] if len(fitting) == 1 else ""


def _without_folders(stars: Sequence[str]) -> str:
    """Join what the stars stand for, without the folders that `**/` passed through."""
    return "_".join(star for star in stars if star and not star.endswith("/"))


def _same_id(a: str, b: str) -> bool:
    """Tell whether names start with the same id (`P1_T2w`, `P1_dseg`) and no other follows (`site1_P1`, `site1_P2`)."""
    first, second = (re.findall("[a-z0-9]+", name.lower()) for name in (a, b))
    common = [word for word, other in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))]
    rest = first[len(common) :] + second[len(common) :]
    ids = [word for word in rest if re.search(r"\d", word) and not re.fullmatch(r"t[12]w?|v\d+|drawem\d+", word)]
    return bool(re.search(r"\d", " ".join(common))) and not ids


def _splits(preset: Preset, frame: pd.DataFrame) -> pd.Series:
    """Return each row's split; "" where the split's file leaves the subject out."""
    if preset.split in SPLITS:
        return pd.Series(preset.split, frame.index)
    if not preset.split:
        groups = frame[preset.split_by].astype(str)
        return groups.map(deal(list(groups), preset.seed, preset.val, preset.test))
    if not Path(preset.split).is_file():
        raise UserError(f"split: {str(preset.split)!r} is not one of {', '.join(SPLITS)}, and no CSV file.")
    return frame["subject"].map(choose(frame["subject"].unique(), preset.split)).fillna("")


def deal(groups: Sequence[str], seed: int, val: Share, test: Share) -> dict[str, str]:
    """Deal groups (subjects, or whatever must stay together): train, val or test by group.

    Named groups go where they are named; the rest is shuffled by the seed. Fractions and counts are of all groups,
    whose order does not matter. A UserError tells of an unknown or twice named group, an impossible share, or nothing
    left to train on.
    """
    groups = sorted(set(groups))
    shares = {"test": test, "val": val}
    sides = _named("split", groups, [(side, name, side) for side, share in shares.items() for name in _names(share)])
    rest = [group for group in groups if group not in sides]
    order = [rest[place] for place in np.random.default_rng(seed).permutation(len(rest))]
    for side, share in shares.items():
        count = 0 if _names(share) else _count(side, share, len(groups))
        sides |= dict.fromkeys(order[:count], side)
        order = order[count:]
    if not order:
        left = f"val={val} and test={test} of {len(groups)} leave nobody to train on"
        raise UserError(f"split: {left}; ask for fewer, or put all in one split by its name.")
    return sides | dict.fromkeys(order, "train")


def _names(share: Share) -> list[str]:
    is_number = re.fullmatch(r"-?[0-9.]+", str(share).strip())
    return [] if is_number else [name.strip() for name in str(share).split(",") if name.strip()]


def _named(what: str | Path, groups: Sequence[str], wishes: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    """Return the split by group of wishes (where it stands, a name with or without BIDS's `sub-`, split)."""
    sides: dict[str, str] = {}
    faults = []
    for where, name, side in wishes:
        group = next((group for group in groups if name in (group, group.removeprefix("sub-"))), None)
        if side not in SPLITS:
            faults.append(f"{where}: {side!r} is not one of {', '.join(SPLITS)}")
        if group is None:
            faults.append(f"{where}: {name!r} is not there; there are {', '.join(groups)}")
        elif sides.setdefault(group, side) != side:
            faults.append(f"{where}: {name!r} is in {sides[group]} already, not in {side!r} as well")
    refuse(what, faults)
    return sides


def _count(side: str, share: Share, total: int) -> int:
    number = pd.to_numeric(share or 0, errors="coerce")
    if not 0 <= number <= total or (number > 1 and number % 1):
        raise UserError(f"{side}: {share!r} is not a fraction below 1, a count up to {total}, or names.")
    return int(number) if number >= 1 else max(round(number * total), int(number > 0))


def choose(subjects: Sequence[str], path: str | Path) -> dict[str, str]:
    """Return the split by subject from a CSV file with these columns; subjects that it does not name are left out.

    A UserError lists every fault: an unknown split, a subject on two sides or not in the folder.
    """
    table = read_table(path, ("subject", "split"))
    wishes = [(f"line {line}", name, side) for line, name, side in table[["subject", "split"]].itertuples(name=None)]
    return _named(path, subjects, wishes)
