"""Inputs of the commands: image files, DICOM folders, folders of images, tables of images, names of cohorts."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.download import PUBLIC, fetch_missing
from segsrgan_study.cohorts.manifest import image_rows, locate, read_manifest
from segsrgan_study.cohorts.presets import PRESETS
from segsrgan_study.cohorts.scan import scan
from segsrgan_study.cohorts.schema import SPLITS, Row
from segsrgan_study.cohorts.tables import parse_table, read_bytes, refuse
from segsrgan_study.files import SUFFIXES, stem
from segsrgan_study.own_images.dicom import choose, convert
from segsrgan_study.own_images.names import ENTITIES, InputImage, entities_of, joined, label, name_of_file, name_of_row
from segsrgan_study.paths import find_study
from segsrgan_study.progress import say, track

NO_IMAGE = re.compile(r"(^|[_.-])(brain)?(mask|seg|dseg|probseg|labels?)$", re.IGNORECASE)  # ends of a file's name
IN_A_TABLE = "list both in a CSV table with columns image, subject, run"
MOST_NAMED = 10  # files that are left out


def find_images(
    inputs: Sequence[str | Path], scratch: Path, series: str = "", split: str = ""
) -> tuple[list[InputImage], list[tuple[str, str]]]:
    """Find the images that the inputs stand for.

    Args:
        inputs: image files; folders (of DICOM, or of NIfTI images); CSV files (a manifest, or any table with the column
            `image`, paths relative to the table, and optionally `subject` and `session`); names of cohorts.
        scratch: an empty folder for converted DICOM series; the caller removes it.
        series: DICOM series to use, see `dicom.choose`.
        split: of a manifest; "" for all.

    Returns:
        The images, each once and with a unique name, and source and reason of those that cannot be worked on.

    Raises:
        UserError: an input is none of these, a table has faults, or there is nothing at all.
    """
    expanded = [image for word in inputs for image in _expand(Path(word), split)]
    given = dict.fromkeys(expanded)  # one may be named twice, or by both files of a pair
    folders = [image for image in given if image.file.is_dir()]
    images, failures = [image for image in given if image not in folders], []
    for number, folder in enumerate(track(folders, "converted") if len(folders) > 1 else folders, start=1):
        try:
            images += _converted(folder, scratch / str(number), series)
        except UserError as error:
            say(str(error))
            why = "the DICOM folder gave no image to work on; the screen said why"  # whose names no output may hold
            failures.append((folder.name or f"DICOM folder {number}", why))
    kept: dict[str, InputImage] = {}
    for image in images:
        other = kept.get(image.name)
        if other and other.file.resolve() == image.file.resolve():
            continue
        clash = other and f"its outputs would have the names of those of {other.source}, {other.name}; {IN_A_TABLE}"
        if reason := clash or image.fault:
            say(f"{image.file}: {reason}.")
            failures.append((image.source, reason))
        else:
            kept[image.name] = image
    if not kept and not failures:
        raise UserError(f"{', '.join(map(str, inputs))}: there is no image to work on; name another file or folder.")
    return list(kept.values()), failures


def _expand(path: Path, split: str) -> list[InputImage]:
    """Images that a word stands for; the file of one may be a DICOM folder, without a name unless a table gives it."""
    if path.suffix.lower() == ".csv":
        return _table(path, split)
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() == ".hdr" and path.with_suffix(".img").is_file():
        path = path.with_suffix(".img")
    if path.name.lower().endswith(SUFFIXES):  # a missing one fails alone, when it is read
        return [InputImage(path, name_of_file(path), path.name)]
    manifest = None
    with suppress(UserError):  # outside a study there are no cohorts
        manifest = find_study().manifest(path.name)
    if manifest and len(path.parts) == 1 and manifest.is_file():
        return _manifest(manifest, split)
    raise UserError(
        f"{path}: this is not an image ({', '.join(SUFFIXES)}), a folder, a CSV table or the name of a cohort; "
        "correct the path."
    )


def _folder(path: Path) -> list[InputImage]:
    """Images of a folder; those that are left out, such as masks, are named on the screen."""
    files = [file for file in sorted(path.rglob("*")) if file.name.lower().endswith(SUFFIXES)]
    files = [file for file in files if file.suffix.lower() != ".hdr" and not file.name.startswith(".")]
    # Scanners call DICOM files .img as well; an image's has a .hdr beside it.
    files = [file for file in files if file.suffix.lower() != ".img" or file.with_suffix(".hdr").is_file()]
    if not files:
        return [InputImage(path, "", "")]
    if any(file.name.endswith((".nii", ".nii.gz")) for file in files):
        start = f"{PRESETS['folder'].name}/"
        rows = [Row(*values) for values in scan(replace(PRESETS["folder"], split="test"), path).itertuples(index=False)]
        sources = [row.image.removeprefix(start) for row in rows]
        images = [_of_row(row, path / source, source) for row, source in zip(rows, sources, strict=True)]
    else:
        images = [InputImage(file, name_of_file(file), file.relative_to(path).as_posix()) for file in files]
    images = [image for image in images if not NO_IMAGE.search(stem(image.file))]
    kept = {image.file for image in images}
    left_out = [file.relative_to(path).as_posix() for file in files if file not in kept]
    if left_out:
        more = f" and {len(left_out) - MOST_NAMED} more" if len(left_out) > MOST_NAMED else ""
        say(f"{path}: left out: {', '.join(left_out[:MOST_NAMED])}{more}.")
    return images


def _manifest(path: Path, split: str) -> list[InputImage]:
    manifest = read_manifest(path)
    root = find_study(path.resolve().parent).data_root(path.stem)
    if path.stem in PUBLIC:
        fetch_missing(manifest, root)
    rows = [row for one in ([split] if split else SPLITS) for row in image_rows(manifest, one)]
    if not rows:
        raise UserError(f"{path}: there are no images of the split {split!r}; give another split.")
    return [_of_row(row, locate(root, row.image), row.image) for row in rows]


def _of_row(row: Row, file: Path, source: str) -> InputImage:
    of_row = name_of_row(row.subject, row.session, float(row.te_ms or "nan"))
    return InputImage(file, name_of_file(file) if stem(file).startswith("sub-") else of_row, source)


def _table(path: Path, split: str) -> list[InputImage]:
    frame, faults = parse_table(read_bytes(path))
    if {"cohort", "split"} <= set(frame.columns):
        return _manifest(path, split)
    if "image" not in frame.columns:
        refuse(path, [*faults, "line 1: the column 'image' is missing"])
    images = []
    for line, row in frame.iterrows():
        try:
            images.append(_of_line(path.parent, row))
        except UserError as error:
            faults.append(f"line {line}: {error}")
    refuse(path, faults)
    return images


def _of_line(folder: Path, row: Mapping[str, str]) -> InputImage:
    """Image of a row; of further columns those that BIDS knows (run, acq, echo ...) become parts of its name."""
    if not row["image"]:
        raise UserError("no image is named in the column 'image'")
    file, words = folder / row["image"], {"sub": "subject", "ses": "session"}
    labels = {key: label(row.get(words.get(key, key), ""), words.get(key, key)) for key in ENTITIES}
    name = joined(labels) if labels["sub"] else ("" if file.is_dir() else name_of_file(file))
    return InputImage(file, name, row["image"])


def _converted(folder: InputImage, place: Path, wanted: str) -> list[InputImage]:
    """Convert the chosen series of a DICOM folder; their names say nothing of the person."""
    place.mkdir()
    series = convert(folder.file, place)
    chosen = choose(folder.file, series, wanted)
    # The pseudonym is made from the images alone and is the same in every run.
    name = folder.name or f"sub-{min(one.digest for one in series)[:10]}"
    for one in series:
        say(f"{folder.file}: {one}{f' -> {name}' if one in chosen else ''}")
        if one not in chosen:
            one.file.unlink()
    several = len(chosen) > 1
    names = [joined({**entities_of(name), "acq": one.label if several else ""}) for one in chosen]
    return [InputImage(one.file, own, f"DICOM {one.label}") for one, own in zip(chosen, names, strict=True)]
