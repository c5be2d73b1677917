"""What a person may give: image files, DICOM folders, folders of images, tables of images, names of cohorts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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
from segsrgan_study.own_images.names import Case, joined, name_of_file, name_of_row
from segsrgan_study.paths import find_study
from segsrgan_study.progress import say, track

NOT_CONVERTED = "the DICOM folder gave no image to work on; the screen said why"


@dataclass
class Found:
    """What was found in what a person gave.

    Attributes:
        cases: to work on.
        failures: source and reason of each input that gave none.
    """

    cases: list[Case] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)


def find_cases(inputs: Sequence[str | Path], scratch: Path, series: str = "", split: str = "") -> Found:
    """Find the images that a person means.

    Args:
        inputs: image files; folders (of DICOM, or of NIfTI images); CSV files (a manifest, or any table with the column
            `image`, its paths relative to the table, and, if wanted, `subject` and `session`); names of cohorts.
        scratch: an empty folder for what DICOM becomes; the caller removes it.
        series: which DICOM series, see `dicom.choose`.
        split: of manifests, the one split to take; all if empty.

    Returns:
        The cases, each with a name of its own. A DICOM folder that cannot be converted is a failure and does not stop
        the others.

    Raises:
        UserError: an input is none of these, a table has faults, or two images would share their outputs.
    """
    found = Found()
    dicom = _Dicom(scratch, series, found)
    for word in inputs:
        found.cases += _expand(Path(word), split, dicom)
    found.cases = list(dict.fromkeys(found.cases))  # one that was named twice, or by both files of a pair
    _refuse_same_names(found.cases)
    return found


def _expand(path: Path, split: str, dicom: "_Dicom") -> list[Case]:
    if path.suffix.lower() == ".csv":
        return _table(path, split, dicom)
    if path.is_dir():
        return _folder(path, dicom)
    if path.suffix.lower() == ".hdr" and path.with_suffix(".img").is_file():
        path = path.with_suffix(".img")
    if path.name.lower().endswith(SUFFIXES):  # a missing one fails alone, when it is read
        return [Case(path, name_of_file(path), path.name)]
    return _manifest(_cohort(path), split)


def _cohort(path: Path) -> Path:
    """Return the manifest of a cohort that is named by its word alone."""
    expected = f"expected an image ({', '.join(SUFFIXES)}), a folder, a CSV table or the name of a cohort"
    try:
        manifest = find_study().manifest(str(path))
    except UserError as error:
        raise UserError(f"{path}: {expected}; received none of them.") from error
    if len(path.parts) != 1 or not manifest.is_file():
        raise UserError(f"{path}: {expected}; received none of them; correct the path.")
    return manifest


def _folder(folder: Path, dicom: "_Dicom") -> list[Case]:
    if not any(path.name.lower().endswith(SUFFIXES) for path in folder.rglob("*")):
        return dicom.cases(folder, "")
    frame = scan(PRESETS["folder"], folder, split="test")
    rows = [Row(*values) for values in frame.itertuples(index=False, name=None)]
    prefix = f"{PRESETS['folder'].name}/"
    return [_of_row(row, folder / row.image.removeprefix(prefix), row.image.removeprefix(prefix)) for row in rows]


def _manifest(path: Path, split: str) -> list[Case]:
    manifest = read_manifest(path)
    root = find_study(path.resolve().parent).data_root(path.stem)
    if path.stem in PUBLIC:
        fetch_missing(manifest, root)
    rows = [row for one in ([split] if split else SPLITS) for row in image_rows(manifest, one)]
    if not rows:
        raise UserError(f"{path}: expected images of the split {split!r}; received none.")
    return [_of_row(row, locate(root, row.image), row.image) for row in rows]


def _of_row(row: Row, file: Path, source: str) -> Case:
    bids = stem(file).startswith("sub-")
    te_ms = float(row.te_ms) if row.te_ms not in ("", None) else float("nan")
    return Case(file, name_of_file(file) if bids else name_of_row(row.subject, row.session, te_ms), source)


def _table(path: Path, split: str, dicom: "_Dicom") -> list[Case]:
    frame, faults = parse_table(read_bytes(path))
    if "cohort" in frame.columns:
        return _manifest(path, split)
    if "image" not in frame.columns:
        faults.append("line 1: expected a column 'image'")
    refuse(path, faults)
    rows = frame.to_dict("records")
    folders = any((path.parent / row["image"]).is_dir() for row in rows)  # converting them takes its time
    return [case for row in (track(rows, "read") if folders else rows) for case in _of_table(path, row, dicom)]


def _of_table(path: Path, row: dict[str, str], dicom: "_Dicom") -> Iterator[Case]:
    file = path.parent / row["image"]
    subject, session = row.get("subject", ""), row.get("session", "")
    if file.is_dir():
        yield from dicom.cases(file, name_of_row(subject, session) if subject else "")
    else:
        yield Case(file, name_of_row(subject, session) if subject else name_of_file(file), row["image"])


class _Dicom:
    """Converts DICOM folders, one after the other; each gets a name that says nothing of the person."""

    def __init__(self, scratch: Path, series: str, found: Found):
        self.scratch, self.series, self.found, self.count = scratch, series, found, 0

    def cases(self, folder: Path, name: str) -> list[Case]:
        self.count += 1
        place = self.scratch / str(self.count)
        place.mkdir()
        try:
            series = convert(folder, place)
            chosen = choose(folder, series, self.series)
        except UserError as error:
            say(str(error))
            self.found.failures.append((f"DICOM folder {self.count}", NOT_CONVERTED))
            return []
        # A pseudonym that is the same in every run, made from the images alone.
        name = name or f"sub-{min(one.digest for one in series)[:10]}"
        for one in series:
            say(f"{folder}: {one}{f' -> {name}' if one in chosen else ''}")
            if one not in chosen:
                one.file.unlink()
        entities = dict(pair.split("-", 1) for pair in name.split("_"))
        names = [joined({**entities, "acq": one.label if len(chosen) > 1 else ""}) for one in chosen]
        return [Case(one.file, own, f"DICOM {one.label}") for one, own in zip(chosen, names, strict=True)]


def _refuse_same_names(cases: list[Case]) -> None:
    places: dict[str, Case] = {}
    for case in cases:
        other = places.setdefault(case.name, case)
        if other is not case:
            raise UserError(
                f"{case.file}: expected images with different names; {other.file} would be written to the same files "
                f"({case.name}); list both in a CSV table with the columns image and subject, and give that."
            )
