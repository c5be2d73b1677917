"""Conversion of DICOM series by dcm2niix, without anything that names a person."""

import hashlib
import json
import re
import subprocess
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np

from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import spacing_mm
from segsrgan_study.files import load_image, visible_files
from segsrgan_study.own_images.names import other_kind
from segsrgan_study.progress import say

FEWEST_SLICES = 8  # fewer are a localiser
CONVERSION_S = 1800
TE_TOLERANCE = 0.1  # of the echo time that was asked for
UNEVEN = "slices are missing or unevenly spaced"
OF_EACH = "name the folder of each, or list them in a CSV table with the columns image and subject"
OFF_SLICES, OFF_VOXELS = 0.1, 0.5  # what a slice may lie beside its place, along the stack and within slices
# Elements of a DICOM file of either little-endian syntax: tag, type and length, or length; value.
_NUMBER = rb" *([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?) *"
SERIES = re.compile(rb"(?s)\x20\x00\x0e\x00.{4} *([\d.]+)")
PIXEL = re.compile(rb"(?s)\x28\x00\x30\x00.{4}" + rb"\\".join([_NUMBER] * 2))
PLACE = re.compile(rb"(?s)\x20\x00\x32\x00.{4}" + rb"\\".join([_NUMBER] * 3))
PATIENT = re.compile(rb"(?s)\x10\x00\x20\x00(?:LO(.)\x00|(.)\x00\x00\x00)")  # length, then the value
LPS = np.diag([-1.0, -1, 1, 1])


@dataclass(frozen=True)
class Series:
    """One converted series."""

    number: int  # of the scanner
    description: str  # as typed at the scanner; printed only, since it may hold anything
    file: Path  # the converted image
    te_ms: float  # echo time in ms; nan if unknown
    fault: str  # reason why it cannot be segmented; "" if it can
    what: str  # shape and voxel size in words
    patient: str  # digest of the ids, which go nowhere as they are; "" without a digit: a word may be anybody
    study: str  # id of the examination and time of the acquisition, which go nowhere either
    time: str
    stack: tuple[str, ...]  # equal for images that may be parts of one
    place: tuple[float, ...]  # affine
    derived: bool  # computed by the scanner from others

    @property
    def label(self) -> str:
        """Number and echo time as a BIDS label."""
        return f"series{self.number}" + (f"te{self.te_ms:.0f}" if self.te_ms == self.te_ms else "")

    @property
    def suffix(self) -> str:
        """What the converter added to tell several images of a series apart, letters and digits alone."""
        return re.sub("[^A-Za-z0-9]", "", self.file.stem.removeprefix(f"series{self.number}"))

    def __str__(self) -> str:
        te = f", TE {self.te_ms:g} ms" if self.te_ms == self.te_ms else ""
        fault = f" ({self.fault})" if self.fault else ""
        derived = ", derived from others" if self.derived else ""
        return f"series {self.number} {self.description!r}: {self.what}{te}{derived}{fault}"


def convert(folder: Path, scratch: Path) -> list[Series]:
    """Convert every series of a DICOM folder and those below it into an empty folder, which the caller removes.

    They are returned in order of number and echo time. A UserError tells that there is no image, that there are several
    patients, or that the converter fails.
    """
    import dcm2niix

    # -ba n: the sidecars in the scratch folder tell patients apart; -g i ignores settings of this account, -z n: no
    # compression, -d 9: folders within folders.
    options = ["-b", "y", "-ba", "n", "-g", "i", "-z", "n", "-d", "9", "-f", "series%s", "-o", str(scratch)]
    command = [dcm2niix.bin, *options, str(folder.resolve())]  # absolute: a folder's name is never taken for an option
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=CONVERSION_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"{folder}: dcm2niix failed ({error}); convert the folder to NIfTI by hand.") from error
    lines = [line.strip() for line in (done.stdout + done.stderr).decode(errors="replace").splitlines()]
    told = dict.fromkeys(line for line in lines if re.match("W?arning: (Unsupported|File not)|Error|Only able", line))
    said = "; ".join([f"exit code {done.returncode}", *told])
    slices, pixels, ids = _places(folder)
    if not (found := [_series(path, slices, pixels) for path in scratch.glob("*.nii")]):
        fault = f"there are neither NIfTI images nor a DICOM series that dcm2niix can convert in it ({said})"
        raise UserError(f"{folder}: {fault}; name the folder that holds them.")
    patients = {one.patient for one in found if one.patient}
    if (count := max(len(patients), len(ids))) > 1:
        raise UserError(f"{folder}: there are images of {count} patients in it; {OF_EACH}.")
    studies = {one.study for one in found} - {""}
    if len(studies) > 1 and studies - {one.study for one in found if one.patient}:
        fault = "there are several examinations, one without a PatientID that has a digit, perhaps of several patients"
        raise UserError(f"{folder}: {fault}; {OF_EACH}.")
    if done.returncode:
        say(f"{folder}: dcm2niix did not convert everything ({said}).")
    for at, one in enumerate(found):
        places = {other.place for other in found if other.stack == one.stack and other.place}
        if len(places) > 1 and not one.fault:
            found[at] = replace(one, fault=f"one of {len(places)} parts into which the converter split the series")
    return sorted(found, key=lambda one: (one.number, one.te_ms, one.file.name))


def _places(folder: Path) -> tuple[dict[str, list[tuple]], dict[str, set[tuple]], set[bytes]]:
    """Return slices' x, y, z (LPS) and pixel sizes by series, in mm as written, and the ids of all patients.

    The converter looks at the first file, or at no frame.
    """
    slices, pixels, patients = defaultdict(list), defaultdict(set), set()
    for path in visible_files(folder)[0]:
        data = path.read_bytes() if path.is_file() else b""
        places, sizes, series = PLACE.findall(data), PIXEL.findall(data), SERIES.search(data)
        slices[series[1].decode() if series else ""] += places
        pixels[series[1].decode() if series else ""] |= {*sizes}
        if (places or sizes) and (patient := PATIENT.search(data)):
            length = (patient[1] or patient[2])[0]
            patients.add(data[patient.end() : patient.end() + length].strip(b" \0"))
    return slices, pixels, patients - {b""}


def _misplaced(image: nib.Nifti1Image, slices: list[tuple], pixels: set[tuple]) -> str:
    """Return why an image does not lie where its DICOM files say, "" if it does; a mosaic's slices have no places."""
    if (sizes := len({tuple(map(float, pixel)) for pixel in pixels})) != 1:
        return f"its files give {sizes or 'no'} pixel sizes"
    if len(slices) < 2:
        return ""
    points = nib.affines.apply_affine(np.linalg.inv(image.affine) @ LPS, np.array(slices, float))
    along, n = np.round(points[:, 2]), image.shape[2]
    if np.ptp(points[:, :2], axis=0).max() > OFF_VOXELS:
        return "its slices do not lie above each other"
    if {*along} == {*range(n)} and np.abs(points[:, 2] - along).max() < OFF_SLICES:
        return ""
    return f"{UNEVEN}: {len(set(slices))} places for {n} slices"


def _series(path: Path, slices: dict[str, list[tuple]], pixels: dict[str, set[tuple]]) -> Series:
    sidecar = path.with_suffix(".json")
    facts = json.loads(sidecar.read_text(encoding="utf-8")) if sidecar.is_file() else {}
    place, plane = (), ""
    try:
        image = load_image(path)
        place, plane = tuple(np.round(image.affine, 2).flat), str(nib.io_orientation(image.affine)[2, 0])
        fault = "" if min(image.shape) >= FEWEST_SLICES else f"fewer than {FEWEST_SLICES} slices"
        uid = facts.get("SeriesInstanceUID", "")
        fault = _misplaced(image, slices.get(uid, []), pixels.get(uid, set())) or fault
        fault = fault if facts else UNEVEN  # of such a stack the converter writes no JSON
        sizes = " x ".join(f"{size:.3g}" for size in spacing_mm(image))
        what = f"{' x '.join(map(str, image.shape))} voxels of {sizes} mm"
    except UserError as error:
        fault, what = str(error).replace(f"{path}: ", ""), "not an image that can be used"
    if facts.get("Modality", "MR") != "MR":
        fault = f"modality {facts['Modality']}, no MRI"
    te_ms = 1000 * float(facts.get("EchoTime", "nan"))
    description = str(facts.get("SeriesDescription") or facts.get("ProtocolName") or "without description")
    if kind := other_kind(description):
        fault = f"its description says {kind}, no T2w image"
    ids = [facts.get(name, "").strip() for name in ("PatientID", "PatientName", "PatientBirthDate")]
    patient = hashlib.sha256("/".join(ids).encode()).hexdigest() if re.search("[1-9]", "".join(ids[:2])) else ""
    number, study, kind = (facts.get(name, "") for name in ("SeriesNumber", "StudyInstanceUID", "ImageType"))
    if {"PHASE", "REAL", "IMAGINARY"} & set(kind):
        fault = "no magnitude image"
    return Series(
        int(number or 0), description, path, te_ms, fault, what, patient, study,
        facts.get("AcquisitionDateTime", ""), (study, str(number), str(kind), plane), place, "DERIVED" in kind,
    )  # fmt: skip


def choose(folder: Path, series: list[Series], wanted: str = "", te_ms: float | None = None) -> list[Series]:
    """Return those of a folder's series to segment.

    `wanted` is the number of a series or part of its description, in any case; "" takes the only usable series of each
    examination, and one that the scanner derived from others only where there is no other. `te_ms`: see `nearest_te`.
    A UserError lists all series where none fits, or several are usable and none is named.
    """
    fitting = [one for one in series if not one.fault]
    if wanted.isdecimal():
        fitting = [one for one in fitting if one.number == int(wanted)]
    else:
        fitting = [one for one in fitting if wanted.casefold() in one.description.casefold()]
    if te_ms is not None:
        fitting = nearest_te(fitting, [one.te_ms for one in fitting], te_ms)
    if not wanted:
        fitting = [one for one in fitting if not one.derived] or fitting
    if fitting and (wanted or len({one.study for one in fitting}) == len(fitting)):
        return fitting
    asked = [f"named {wanted!r}"] if wanted else []
    asked += [] if te_ms is None else [f"within 10 % of TE {te_ms:g} ms"]
    fault = f"no usable series is {' and '.join(asked)}" if asked else "there is not exactly one usable series"
    advice = "choose with --series, by number or a part of the description, and with --te"
    if all(one.fault for one in series):
        advice = "export it again, whole, or convert it to NIfTI by another program"
    raise UserError(f"{folder}: {fault}; found {'; '.join(map(str, series))}; {advice}.")


def nearest_te(items: list, times_ms: list[float], te_ms: float) -> list:
    """Return the items whose echo time, in ms, is nearest to `te_ms` and within 10 % of it; nan is never."""
    apart = [abs(time - te_ms) for time in times_ms]
    limit = min([one for one in apart if one <= TE_TOLERANCE * te_ms], default=-1.0)
    return [item for item, one in zip(items, apart, strict=True) if one <= limit + 1e-3]
