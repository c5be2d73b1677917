"""Known kinds of folders, and the manifest made from one."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from segsrgan_core.atomic import write_json
from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.labels import CONVENTIONS, read_mapping
from segsrgan_study.cohorts.manifest import examine, write_manifest
from segsrgan_study.cohorts.scan import Preset, scan


def _atlas(name: str, stem: str, ends: tuple[str, str, str], **options: str) -> Preset:
    """An atlas of averages of a week each, which resemble their neighbours, so that whole weeks are held out."""
    globs = {column: (f"{stem}{end}.nii.gz",) for column, end in zip(("image", "labels", "mask"), ends, strict=True)}
    return Preset(name, globs, split_by="age_weeks", **options)


_STEM = "sub-*/ses-*/anat/sub-*_ses-*_desc-"
# Release 3, then release 2, whose derived files say that they are in T2w space.
_DHCP = {"image": (f"{_STEM}restore_T2w.nii.gz",)}
_DHCP |= {"labels": (f"{_STEM}drawem9_dseg.nii.gz", f"{_STEM}drawem9_space-T2w_dseg.nii.gz")}
_DHCP |= {"mask": (f"{_STEM}brain_mask.nii.gz", f"{_STEM}bet_space-T2w_brainmask.nii.gz")}
# BIDS first, else one file or folder a subject.
_ANY = {"image": ("sub-*/**/*_T2w.nii*", "images/*.nii*", "*.nii*", "*/*.nii*")}
_ANY |= {"labels": ("sub-*/**/*_dseg.nii*", "labels/*.nii*"), "mask": ("sub-*/**/*_mask.nii*", "masks/*.nii*")}
_PRESETS = (
    Preset("dhcp", _DHCP),
    Preset("alberts", {"image": ("T2/*.nii*",), "labels": ("tissues-v3/*.nii*",)}),
    _atlas(
        "fetal_atlas",
        "fetal_SB_atlas_GA*_*/",
        ("srr", "parcellation", "mask"),
        names=r"(?P<subject>fetal_SB_atlas_GA(?P<age_weeks>\d+)_(?P<session>[a-z]+))/",
        val="28,",
        test="23,26,29,32",  # both volumes of week 25 train
    ),
    _atlas(
        "dhcp_atlas",  # as in TemplateFlow (tpl-dhcpVol)
        "cohort-*/tpl-dhcpVol_cohort-*_",
        ("T2w", "desc-tissues_dseg", "desc-brain_mask"),
        names=r"/(?P<subject>tpl-dhcpVol_cohort-(?P<age_weeks>\d+))_",
        val="41,",
        test="37,40,43",
    ),
    Preset("epirmex", {"image": ("sub-*/**/*_T2w.nii*", "**/*.nii*")}, split="variability"),
    Preset("folder", _ANY),
)
PRESETS = {preset.name: preset for preset in _PRESETS}


def make_manifest(
    preset: str, folder: str | Path, out_dir: str | Path, data_root: str | Path, name: str = "", **choices: Any
) -> Path:
    """Make `<out_dir>/<cohort>.csv` from a folder and check every file; with faults, a UserError lists them all.

    The preset is a name in `PRESETS`; the cohort's name is the preset's if empty, and needed for the preset "folder".
    `<data_root>/<cohort>` becomes a link to the folder unless it is the folder. Choices take the place of the preset's,
    see `scan.Preset`; None, "" and a column without globs say nothing. `mapping` among them is a name in
    `labels.CONVENTIONS`, or a YAML or JSON file (see `read_mapping`).
    """
    if preset not in PRESETS:
        raise UserError(f"preset: {preset!r} is not one of {', '.join(PRESETS)}.")
    cohort, base = name or preset, PRESETS[preset]
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", cohort):
        raise UserError(f"name: {cohort!r} is not of letters, digits, '_' and '-'.")
    if cohort in {*PRESETS, "embedded"} and (cohort != preset or cohort == "folder"):
        raise UserError(f"name: {cohort!r} is taken; give the cohort a name of your own.")
    given = {key: value for key, value in choices.items() if value not in (None, "")}
    mapping = given.pop("mapping", preset if preset in CONVENTIONS else "drawem9")
    numbers = CONVENTIONS.get(str(mapping)) or read_mapping(mapping)
    globs = {column: tuple(more) for column, more in given.pop("globs", {}).items() if more}
    frame = scan(replace(base, **given, name=cohort, globs={**base.globs, **globs}), folder)
    made = _link(Path(folder), Path(data_root), cohort)
    try:
        frame["sha256"], faults = examine(frame, data_root, numbers)
        path = write_manifest(frame, Path(out_dir, f"{cohort}.csv"), faults)
        kept = path.with_suffix(".labels.json")
        if numbers != CONVENTIONS.get(cohort):
            write_json(kept, numbers)
        else:
            kept.unlink(missing_ok=True)  # of an older manifest
    except BaseException:
        if made:
            Path(data_root, cohort).unlink()
        raise
    return path


def _link(folder: Path, data_root: Path, cohort: str) -> bool:
    """Let `<data_root>/<cohort>` lead to the folder; return whether a link was made."""
    place = data_root / cohort
    if place.resolve() == folder.resolve():
        return False
    if place.exists() or place.is_symlink():
        raise UserError(f"{place}: another folder or link is there; remove it, or give the cohort another name.")
    try:
        data_root.mkdir(parents=True, exist_ok=True)
        place.symlink_to(folder.resolve(), target_is_directory=True)
    except OSError as error:
        advice = "name a data root that you can write to with SEGSRGAN_DATA"
        raise UserError(f"{place}: the link cannot be made ({error.strerror}); {advice}.") from error
    return True
