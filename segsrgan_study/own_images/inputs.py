"""Inputs of the commands: image files, DICOM folders, folders of images, tables of images, names of cohorts."""

from collections.abc import Iterator, Sequence
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
from segsrgan_study.own_images.names import InputImage, entities_of, joined, name_of_file, name_of_row
from segsrgan_study.paths import find_study
from segsrgan_study.progress import say, track

NOT_CONVERTED = "the DICOM folder gave no image to work on; the screen said why"


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
        The images, each with a unique name, and source and reason of each DICOM folder that could not be converted.

    Raises:
        UserError: an input is none of these, a table has faults, or two images would have the same outputs.
    """
    dicom = _Dicom(scratch, series)
    found = [image for word in inputs for image in _expand(Path(word), split, dicom)]
    images = list(dict.fromkeys(found))  # one that was named twice, or by both files of a pair
    _refuse_same_names(images)
    return images, dicom.failures


def _expand(path: Path, split: str, dicom: "_Dicom") -> list[InputImage]:
    if path.suffix.lower() == ".csv":
        return _table(path, split, dicom)
    if path.is_dir():
        return _folder(path, dicom)
    if path.suffix.lower() == ".hdr" and path.with_suffix(".img").is_file():
        path = path.with_suffix(".img")
    if path.name.lower().endswith(SUFFIXES):  # a missing one fails alone, when it is read
        return [InputImage(path, name_of_file(path), path.name)]
    return _manifest(_cohort(path), split)


def _cohort(path: Path) -> Path:
    """Return the manifest of a cohort that is given by its name."""
    with suppress(UserError):  # outside a study there are no cohorts
        manifest = find_study().manifest(str(path))
        if len(path.parts) == 1 and manifest.is_file():
            return manifest
    raise UserError(
        f"{path}: this is not an image ({', '.join(SUFFIXES)}), a folder, a CSV table or the name of a cohort; "
        "correct the path."
    )


def _folder(folder: Path, dicom: "_Dicom") -> list[InputImage]:
    if not any(path.name.lower().endswith(SUFFIXES) for path in folder.rglob("*")):
        return dicom.images(folder, "")
    frame = scan(replace(PRESETS["folder"], split="test"), folder)
    rows = [Row(*values) for values in frame.itertuples(index=False, name=None)]
    prefix = f"{PRESETS['folder'].name}/"
    return [_of_row(row, folder / row.image.removeprefix(prefix), row.image.removeprefix(prefix)) for row in rows]


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
    bids = stem(file).startswith("sub-")
    te_ms = float(row.te_ms) if row.te_ms not in ("", None) else float("nan")
    return InputImage(file, name_of_file(file) if bids else name_of_row(row.subject, row.session, te_ms), source)


def _table(path: Path, split: str, dicom: "_Dicom") -> list[InputImage]:
    frame, faults = parse_table(read_bytes(path))
    if "cohort" in frame.columns:
        return _manifest(path, split)
    if "image" not in frame.columns:
        faults.append("line 1: the column 'image' is missing")
    refuse(path, faults)
    rows = frame.to_dict("records")
    folders = any((path.parent / row["image"]).is_dir() for row in rows)  # converting them takes its time
    return [case for row in (track(rows, "read") if folders else rows) for case in _of_table(path, row, dicom)]


def _of_table(path: Path, row: dict[str, str], dicom: "_Dicom") -> Iterator[InputImage]:
    file = path.parent / row["image"]
    subject, session = row.get("subject", ""), row.get("session", "")
    if file.is_dir():
        yield from dicom.images(file, name_of_row(subject, session) if subject else "")
    else:
        yield InputImage(file, name_of_row(subject, session) if subject else name_of_file(file), row["image"])


class _Dicom:
    """Converter of DICOM folders; each gets a name that says nothing of the person."""

    def __init__(self, scratch: Path, series: str):
        self.scratch, self.series, self.count = scratch, series, 0
        self.failures: list[tuple[str, str]] = []

    def images(self, folder: Path, name: str) -> list[InputImage]:
        """Convert the chosen series of a folder; `name` is that of the outputs, "" for a pseudonym."""
        self.count += 1
        place = self.scratch / str(self.count)
        place.mkdir()
        try:
            series = convert(folder, place)
            chosen = choose(folder, series, self.series)
        except UserError as error:
            say(str(error))
            self.failures.append((f"DICOM folder {self.count}", NOT_CONVERTED))
            return []
        # The pseudonym is made from the images alone and is the same in every run.
        name = name or f"sub-{min(one.digest for one in series)[:10]}"
        for one in series:
            say(f"{folder}: {one}{f' -> {name}' if one in chosen else ''}")
            if one not in chosen:
                one.file.unlink()
        entities = entities_of(name)
        names = [joined({**entities, "acq": one.label if len(chosen) > 1 else ""}) for one in chosen]
        return [InputImage(one.file, own, f"DICOM {one.label}") for one, own in zip(chosen, names, strict=True)]


def _refuse_same_names(images: list[InputImage]) -> None:
    first: dict[str, InputImage] = {}
    for image in images:
        other = first.setdefault(image.name, image)
        if other is not image:
            raise UserError(
                f"{image.file}: its outputs would have the same names as those of {other.file} ({image.name}); list "
                "both in a CSV table with the columns image and subject, and give that table."
            )
