"""Known kinds of folders, and the manifest made from one."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import yaml

from segsrgan_core.atomic import write_json
from segsrgan_core.classes import DRAWEM9
from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.check import examine
from segsrgan_study.cohorts.labels import CONVENTIONS, IDENTITY
from segsrgan_study.cohorts.manifest import frame_faults, write_manifest
from segsrgan_study.cohorts.scan import Preset, scan
from segsrgan_study.cohorts.splits import Share
from segsrgan_study.cohorts.tables import read_bytes, refuse

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
        Preset("alberts", {"image": ("T2/*.nii*",), "labels": ("tissues-v3/*.nii*",)}, convention="alberts"),
        # Neighbouring weeks resemble each other, so whole weeks are held out, spread over the range; both volumes of
        # week 25 train.
        Preset(
            "fetal_atlas",
            {
                "image": ("fetal_SB_atlas_GA*_*/srr.nii.gz",),
                "labels": ("fetal_SB_atlas_GA*_*/parcellation.nii.gz",),
                "mask": ("fetal_SB_atlas_GA*_*/mask.nii.gz",),
            },
            convention="fetal_atlas",
            names=r"(?P<subject>fetal_SB_atlas_GA(?P<age_weeks>\d+)_(?P<session>[a-z]+))/",
            split_by="age_weeks",
            val=("28",),
            test=("23", "26", "29", "32"),
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
    preset: str,
    folder: str | Path,
    out_dir: str | Path,
    data_root: str | Path,
    *,
    name: str = "",
    seed: int = 0,
    split: str | Path = "",
    val: Share | None = None,
    test: Share | None = None,
    globs: Mapping[str, Sequence[str]] = MappingProxyType({}),
    names: str = "",
    mapping: str | Path | None = None,
    metadata: str | Path | None = None,
) -> Path:
    """Make `<out_dir>/<cohort>.csv` from a folder, check every file, and make the folder known to the data root.

    Args:
        preset: a name in `PRESETS`.
        folder: where the images are.
        out_dir: the folder of the manifests.
        data_root: `<data_root>/<cohort>` becomes a link to the folder unless it is the folder.
        name: the cohort's name; the preset's if empty, needed for the preset "folder".
        seed: of the split.
        split: a split's name for all images, or a CSV file (subject, split).
        val: how many validate: a fraction, a count or names.
        test: how many test, as `val`.
        globs: by column of the manifest (image, labels, mask, hr, sides), in place of the preset's; see `scan.Preset`.
        names: regular expression in place of the preset's, for subject and session in free names.
        mapping: a name in `labels.CONVENTIONS`, or a YAML or JSON file (see `read_mapping`).
        metadata: CSV of acquisitions.

    Returns:
        The manifest's path.

    Raises:
        UserError: lists every fault at once; nothing is written then.
    """
    if preset not in PRESETS:
        raise UserError(f"preset: expected one of {', '.join(PRESETS)}; received {preset!r}.")
    cohort, base = _cohort_name(preset, name), PRESETS[preset]
    convention: str | Mapping[int, int] = str(mapping or base.convention)
    if mapping and convention not in CONVENTIONS:
        convention = read_mapping(mapping)
    chosen = replace(
        base,
        globs={**base.globs, **{column: tuple(more) for column, more in globs.items() if more}},
        names=names or base.names,
        val=base.val if val is None else val,
        test=base.test if test is None else test,
        convention=convention,
    )
    numbers = _numbers(chosen.convention)
    frame = scan(chosen, folder, seed, cohort, split, metadata)
    made = _link(Path(folder), Path(data_root), cohort)
    try:
        frame["sha256"], faults = examine(frame, data_root, numbers)
        refuse(f"{cohort} in {data_root}", frame_faults(frame) + faults)
        path = write_manifest(frame, Path(out_dir, f"{cohort}.csv"))
        _keep_mapping(Path(out_dir), cohort, numbers)
    except BaseException:
        if made:
            Path(data_root, cohort).unlink()
        raise
    return path


def _cohort_name(preset: str, name: str) -> str:
    cohort = name or preset
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", cohort):
        raise UserError(f"name: expected letters, digits, '_' and '-'; received {cohort!r}.")
    if cohort in {*PRESETS, "embedded"} and (cohort != preset or cohort == "folder"):
        raise UserError(f"name: expected a name of your own for this cohort; received {cohort!r}; give another.")
    return cohort


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
        raise UserError(
            f"{place}: the link cannot be made ({error.strerror}); name a data root that you can write to with "
            "SEGSRGAN_DATA."
        ) from error
    return True


def label_mapping(cohort: str, manifests_dir: str | Path) -> dict[int, int]:
    """Return the mapping of a cohort's label numbers to those of drawem9.

    It stands in `<manifests_dir>/<cohort>.labels.json` if that file is there, else it is the preset's.

    Raises:
        UserError: neither is there, or the file has faults.
    """
    path = Path(manifests_dir, f"{cohort}.labels.json")
    if path.is_file():
        return read_mapping(path)
    if cohort == "embedded":
        return dict(IDENTITY)
    if cohort in PRESETS and cohort != "folder":
        return _numbers(PRESETS[cohort].convention)
    raise UserError(
        f"cohort: expected embedded, {', '.join(PRESETS)} or one with {path}; received {cohort!r}; "
        "make its manifest with `segsrgan manifest`."
    )


def read_mapping(path: str | Path) -> dict[int, int]:
    """Read a label mapping.

    Args:
        path: YAML or JSON, each of the file's label numbers to a drawem9 number (0 to 9, 0 is none of the tissues) or
            to a tissue's name (`cortex`). 0 stays 0 unless the file says otherwise.

    Returns:
        Number to drawem9 number.

    Raises:
        UserError: lists every fault at once.
    """
    try:
        content = yaml.safe_load(read_bytes(path))
    except yaml.YAMLError as error:
        raise UserError(f"{path}: expected YAML or JSON; it could not be read ({error}).") from error
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path}: expected a mapping such as '{{1: csf, 2: cortex}}'; received {content!r}.")
    tissues = {name: number for number, name in DRAWEM9.items()} | {str(number): number for number in IDENTITY}
    pairs = [(str(number), str(tissue)) for number, tissue in content.items()]
    faults = [
        f"expected a whole number and a tissue ({', '.join(tissues)}); received {number}: {tissue}"
        for number, tissue in pairs
        if not re.fullmatch("[0-9]{1,5}", number) or tissue not in tissues
    ]
    refuse(path, faults)
    return {0: 0} | {int(number): tissues[tissue] for number, tissue in pairs}


def _numbers(convention: str | Mapping[int, int]) -> dict[int, int]:
    return dict(CONVENTIONS[convention] if isinstance(convention, str) else convention)


def _keep_mapping(out_dir: Path, cohort: str, numbers: Mapping[int, int]) -> None:
    """Keep a mapping beside the manifest unless it is the preset's own; an older one never outlives its manifest."""
    path = out_dir / f"{cohort}.labels.json"
    if cohort in PRESETS and numbers == _numbers(PRESETS[cohort].convention):
        path.unlink(missing_ok=True)
    else:
        write_json(path, dict(numbers))
