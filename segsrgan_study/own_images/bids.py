"""BIDS derivatives: output images with JSON sidecars, and the files at the top of the folder.

The sidecar of the labels is the record of a case, see `records`. It is written last and holds the checksum of every
other file of the case, so that a case is either complete or absent.
"""

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

import segsrgan_core
from segsrgan_core.atomic import write_json, write_text
from segsrgan_core.classes import DRAWEM9
from segsrgan_core.errors import UserError
from segsrgan_core.segmenter import Segmentation, read_card, weight_files
from segsrgan_study.files import in_steps, save_image, sha256, write_csv
from segsrgan_study.own_images.failures import FOLDER, place_digest
from segsrgan_study.own_images.names import OWN, InputImage
from segsrgan_study.own_images.quality import told_beside
from segsrgan_study.own_images.records import is_whole, read_facts, read_record, record_files
from segsrgan_study.weights import CARD, ages_weeks

DESCRIPTIONS = {
    "T2w": "Super-resolved image, isotropic, in the input's own place and intensities.",
    "dseg": "Labels, numbered as in desc-segsrgan_dseg.tsv.",
    "probseg": "Probability of one class.",
    "uncertainty": "Probability that the label is wrong.",
    "hemispheres": "Content of the skull: 1 left, 2 right.",
}
RESULTS = "SegSRGAN: super-resolution and segmentation of thick-slice MRI"  # names of data sets
SIMULATED = "Thick-slice images, simulated from high-resolution ones"
MAKER = {"Name": "segsrgan_core", "Version": segsrgan_core.__version__}
BITS = {"T2w": 14, "uncertainty": 8, "probseg": 8}  # precision of the files; scanners store 12 bits
STRIPPED = 2 / 3  # share of voxels that are exactly 0 in an image without its skull
NOT_BIDS = ("*.html", "growth.png", "cases.tsv", "volumes.tsv", "volumes.json", "figures", FOLDER)
OTHERS = ("dataset_description.json", "README", ".bidsignore", "report.html", "desc-segsrgan_dseg.tsv", *NOT_BIDS[1:5])


@dataclass(frozen=True)
class Job:
    """Options of a run, the same for all images."""

    model: Path  # folder of a trained network
    out: Path  # top of the derivatives
    precision: str = "auto"  # "auto" or a precision of `engines.HINTS`
    engine: str = "auto"  # "auto", "openvino" or "tensorflow"
    spacing_mm: float | None = None  # voxel size of the results; None: that of each image in plane
    reference: str = "newborn"  # what volumes are compared with, see `growth.find_reference`; no number depends on it

    def identity(self) -> dict[str, Any]:
        """Return the weights and options that decide the numbers of a result."""
        card = read_card(self.model)
        digest = ";".join(sha256(self.model / name) for name in weight_files(card.networks))
        weights = {"Name": self.model.resolve().name, "TrainedOn": card.cohort, "Classes": list(card.classes)}
        weights |= {"Sha256": digest, "CardSha256": sha256(self.model / CARD)}
        spacing = f"{self.spacing_mm:g} mm" if self.spacing_mm else "in plane"
        options = {"Engine": self.engine, "Precision": self.precision, "Spacing": spacing}
        return {"GeneratedBy": [MAKER], "Weights": weights, "Options": options}


def is_done(image: InputImage, out: Path, identity: dict[str, Any]) -> bool:
    """Tell whether all outputs of an image are there and were made from it by these weights and options."""
    record = read_record(out / image.record)
    if record is None or not os.path.isfile(image.file) or record.get("SourceSha256") != source_digest(image.file):
        return False
    if "ToldBeside" in record and record["ToldBeside"] != told_beside(image.file):  # notes depend on it
        return False
    made = {key: record.get(key) for key in identity}
    if made["Options"]:
        made["Options"] |= {name: "auto" for name, value in identity["Options"].items() if value == "auto"}
    return made == identity and is_whole(record, out / image.home)


def source_digest(path: Path) -> str:
    """Return the checksum of an image; of a pair those of `.img` and `.hdr`, joined by `;`; "" if it cannot be read."""
    header = path.with_suffix(".hdr")
    files = [path, header] if path.suffix.lower() == ".img" and header.is_file() else [path]
    with suppress(OSError):
        return ";".join(sha256(file) for file in files)
    return ""


def is_anothers(image: InputImage, out: Path) -> bool:
    """Tell whether the outputs of its name are of another image, or those of its subject of another person.

    Another image is one from another place with another content, another person one who was spelled differently, or
    whose images lie in another folder or data set where only their paths tell whose they are.
    """
    if came_from_another(image, read_facts(out / image.record)):
        return True
    subject = image.home.parts[0].casefold()  # sub-P1 and sub-p1 are one folder on some file systems
    homes = [path for path in out.glob("sub-*") if path.name.casefold() == subject]
    others = {one for home in homes for one in record_files(out, home.name)} - {out / image.record}
    known = [one["Person"] for one in map(read_record, others) if one and one.get("Person")]
    person, beside = _person(image)
    return any(one[0] != person or (one[1] and beside and one[1] != beside) for one in known)


def came_from_another(image: InputImage, facts: dict[str, Any]) -> bool:
    """Tell whether the facts beside an output name as its source another place and another content than an image's."""
    if facts.get("SourcePlace") in (None, place_digest(image.origin)):
        return False
    return not os.path.isfile(image.file) or source_digest(image.file) != facts.get("SourceSha256")


def _person(image: InputImage) -> list[str]:
    """Return digests of how the subject was spelled, and of its folder or data set, "" where a table tells."""
    return [hashlib.sha256(image.person.encode()).hexdigest()[:8], place_digest(image.beside)]


def refuse_inside(out: Path, origins: Iterable[Path]) -> None:
    """Raise a UserError if a folder for results is one of the images' or holds one."""
    if held := [path for path in origins if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(out))]:
        raise UserError(f"{out}: the folder holds the image {held[0]} itself; give --out a folder of its own.")


def remove_case(image: InputImage, out: Path) -> None:
    """Remove the outputs for an image, of a run that was stopped as well, the record first."""
    (out / image.record).unlink(missing_ok=True)
    for end in (f"_{OWN}*", f"_label-*_{OWN}*"):
        for path in (out / image.home).glob(f"*/{image.name}{end}"):
            path.unlink(missing_ok=True)


def as_written(result: Segmentation) -> Segmentation:
    """Round images as their files are, so that all that is drawn and measured depends on no number of threads."""
    return replace(result, image=_rounded(result.image, "T2w"), uncertainty=_rounded(result.uncertainty, "uncertainty"))


def save_images(image: InputImage, result: Segmentation, out: Path, threads: Executor) -> dict[Future, str]:
    """Begin to write the images of a case, `as_written`: to the kind of each one, see `DESCRIPTIONS`."""
    outputs = [
        (image.path("T2w", ".nii.gz"), "T2w", result.image),
        (image.path("dseg", ".nii.gz"), "dseg", result.labels),
        (image.path("probseg", ".nii.gz", desc="segsrganuncertainty"), "uncertainty", result.uncertainty),
        *((image.path("probseg", ".nii.gz", name), "probseg", one) for name, one in result.probabilities.items()),
    ]
    if result.sides is not None:
        outputs.append((image.path("dseg", ".nii.gz", desc="segsrganhemispheres"), "hemispheres", result.sides))
    return {threads.submit(save_image, one, out / path, BITS.get(what)): what for path, what, one in outputs}


def write_case(image: InputImage, result: Segmentation, job: Job, facts: dict, sheet: Path, saved: dict) -> None:
    """Write a sidecar with `facts` for each image of `save_images`; that of the labels is the record of the case."""
    stripped, files = bool((np.asarray(result.interpolated.dataobj) == 0).mean() > STRIPPED), [sheet]
    for one, what in saved.items():
        files.append(one.result())
        if what == "dseg":
            continue
        sidecar = {**facts, "Description": DESCRIPTIONS[what]} | ({"SkullStripped": stripped} if what == "T2w" else {})
        files.append(write_json(str(files[-1]).replace(".nii.gz", ".json"), sidecar))
    record = {
        "Description": DESCRIPTIONS["dseg"],
        "Volumes_ml": result.volumes_ml,
        "FilesSha256": {path.relative_to(job.out / image.home).as_posix(): sha256(path) for path in files},
        "SourceSha256": source_digest(image.file),
        "SourcePlace": place_digest(image.origin),
        "Person": _person(image),
        "ToldBeside": told_beside(image.file),
        "AgeWeeks": image.age_weeks or None,
        "ModelAgesWeeks": ages_weeks(job.model),
    }
    write_json(job.out / image.record, {**facts, **record})


def note_age(image: InputImage, out: Path) -> None:
    """Write the age of an image into its record, where it is told and another one, or none, stands there."""
    record, age = read_record(out / image.record), image.age_weeks
    if record is not None and age is not None and record.get("AgeWeeks") != (age or None):
        write_json(out / image.record, {**record, "AgeWeeks": age or None})


def _rounded(image: Nifti1Image, what: str) -> Nifti1Image:
    numbers, step = in_steps(np.asarray(image.dataobj), BITS[what])
    return Nifti1Image(numbers * np.float32(step), image.affine)


def write_description(out: Path, name: str) -> None:
    """Write `dataset_description.json` of a BIDS data set, RESULTS or SIMULATED; what was added to it is kept.

    A UserError tells that another data set is there.
    """
    path, makers = out / "dataset_description.json", []
    there = read_facts(path)
    with suppress(TypeError, KeyError):
        makers = [one["Name"] for one in there["GeneratedBy"]]
    another = there.get("Name") != name and there.get("Name") in (RESULTS, SIMULATED)
    if another or (makers != [MAKER["Name"]] and any((out / name).exists() for name in OTHERS)):
        raise UserError(f"{out}: the folder holds another data set; give --out a folder of its own.")
    facts = {"Name": name, "BIDSVersion": "1.10.0", "DatasetType": "derivative"}
    write_json(path, {**facts, **there, "GeneratedBy": [MAKER]})


def write_top(out: Path) -> None:
    """Write the files at the top of the derivatives: description, table of labels, README, `.bidsignore`."""
    write_description(out, RESULTS)
    (out / FOLDER).mkdir(exist_ok=True)
    labels = pd.DataFrame({"index": list(DRAWEM9), "name": list(DRAWEM9.values())})
    write_csv(out / "desc-segsrgan_dseg.tsv", labels, sep="\t")
    if not (out / "README").exists():
        write_text(out / "README", Path(__file__).with_name("README.txt").read_text(encoding="utf-8"))
    ignored = out / ".bidsignore"
    added = ignored.read_text(encoding="utf-8", errors="replace").splitlines() if ignored.exists() else []
    write_text(ignored, "\n".join(dict.fromkeys([*NOT_BIDS, *added])) + "\n")
