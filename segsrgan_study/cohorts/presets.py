"""Known kinds of folders, and the manifest made from one."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from segsrgan_core.atomic import write_json
from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.check import examine
from segsrgan_study.cohorts.labels import CONVENTIONS, read_mapping
from segsrgan_study.cohorts.manifest import write_manifest
from segsrgan_study.cohorts.scan import Preset, scan

_DHCP = "sub-*/ses-*/anat/sub-*_ses-*_desc-"
PRESETS = {
    preset.name: preset
    for preset in (
        # Release 3, then release 2, whose derived files say that they are in T2w space.
        Preset(
            "dhcp",
            {
                "image": (f"{_DHCP}restore_T2w.nii.gz",),
                "labels": (f"{_DHCP}drawem9_dseg.nii.gz", f"{_DHCP}drawem9_space-T2w_dseg.nii.gz"),
                "mask": (f"{_DHCP}brain_mask.nii.gz", f"{_DHCP}bet_space-T2w_brainmask.nii.gz"),
            },
        ),
        Preset("alberts", {"image": ("T2/*.nii*",), "labels": ("tissues-v3/*.nii*",)}),
        # Neighbouring weeks resemble each other, so whole weeks are held out, spread over the range; both volumes of
        # week 25 train.
        Preset(
            "fetal_atlas",
            {
                "image": ("fetal_SB_atlas_GA*_*/srr.nii.gz",),
                "labels": ("fetal_SB_atlas_GA*_*/parcellation.nii.gz",),
                "mask": ("fetal_SB_atlas_GA*_*/mask.nii.gz",),
            },
            names=r"(?P<subject>fetal_SB_atlas_GA(?P<age_weeks>\d+)_(?P<session>[a-z]+))/",
            split_by="age_weeks",
            val="28,",
            test="23,26,29,32",
        ),
        # As in TemplateFlow (tpl-dhcpVol), one average a week; whole weeks are held out for the same reason.
        Preset(
            "dhcp_atlas",
            {
                "image": ("cohort-*/tpl-dhcpVol_cohort-*_T2w.nii.gz",),
                "labels": ("cohort-*/tpl-dhcpVol_cohort-*_desc-tissues_dseg.nii.gz",),
                "mask": ("cohort-*/tpl-dhcpVol_cohort-*_desc-brain_mask.nii.gz",),
            },
            names=r"/(?P<subject>tpl-dhcpVol_cohort-(?P<age_weeks>\d+))_",
            split_by="age_weeks",
            val="41,",
            test="37,40,43",
        ),
        Preset("epirmex", {"image": ("sub-*/**/*_T2w.nii*", "**/*.nii*")}, split="variability"),
        # Any folder: BIDS first, else one file or folder a subject.
        Preset(
            "folder",
            {
                "image": ("sub-*/**/*_T2w.nii*", "images/*.nii*", "*.nii*", "*/*.nii*"),
                "labels": ("sub-*/**/*_dseg.nii*", "labels/*.nii*"),
                "mask": ("sub-*/**/*_mask.nii*", "masks/*.nii*"),
            },
        ),
    )
}


def make_manifest(
    preset: str, folder: str | Path, out_dir: str | Path, data_root: str | Path, name: str = "", **choices: Any
) -> Path:
    """Make `<out_dir>/<cohort>.csv` from a folder, check every file, and make the folder known to the data root.

    Args:
        preset: a name in `PRESETS`.
        folder: where the images are.
        out_dir: the folder of the manifests.
        data_root: `<data_root>/<cohort>` becomes a link to the folder unless it is the folder.
        name: the cohort's name; the preset's if empty, needed for the preset "folder".
        **choices: in place of the preset's, see `scan.Preset`; None, "" and a column without globs say nothing.
            `mapping`: a name in `labels.CONVENTIONS`, or a YAML or JSON file (see `read_mapping`).

    Raises:
        UserError: lists every fault at once; nothing is written then.
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
