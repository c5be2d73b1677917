"""BIDS derivatives: the images of a case, a JSON sidecar for each, and what stands at the top of the folder.

The sidecar of the labels is the case's record. It is written last and names the checksum of every other file, so that
a case is either whole or not there.
"""

import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

import segsrgan_core
from segsrgan_core.atomic import write_json, write_text
from segsrgan_core.classes import DRAWEM9
from segsrgan_core.segmenter import ModelCard, Segmentation, read_card, weight_files
from segsrgan_study.files import save_image, sha256, write_csv
from segsrgan_study.own_images.names import Case
from segsrgan_study.weights import CARD

README = """SegSRGAN's derivatives: for research only; not a medical device.

report.html    every case to look at, with its quality
volumes.tsv    the volumes, one row a case; volumes.json describes its columns
cases.tsv      what succeeded, what failed and why, SNR, contrast and outliers
sub-*/anat     *_desc-segsrgan_T2w: the super-resolved image
               *_desc-segsrgan_dseg: the labels (numbers in desc-segsrgan_dseg.tsv); its JSON file is the record of
               the case: weights, options, versions, volumes and the checksums of all its files
               *_label-*_probseg: the probability of each class
               *_desc-segsrganuncertainty_probseg: the probability that a voxel's label is wrong
sub-*/figures  the contact sheets
"""
DESCRIPTIONS = {
    "T2w": "Super-resolved image, isotropic, in the input's own place and intensities.",
    "dseg": "Labels, numbered as in desc-segsrgan_dseg.tsv.",
    "probseg": "Probability of one class.",
    "uncertainty": "Probability that the label is wrong.",
    "hemispheres": "Content of the skull: 1 left, 2 right.",
}
PACKAGES = ("keras", "nibabel", "numpy", "scipy", "tensorflow")
IMAGE_BITS, PROBABILITY_BITS = 14, 8  # finer than scanners store, and than probabilities are meant
STRIPPED = 2 / 3  # of the voxels are exactly 0: the image came without its skull
NOT_BIDS = ("*.html", "cases.tsv", "volumes.tsv", "volumes.json", "figures")  # beside the data, for people


@dataclass(frozen=True)
class Job:
    """How images are segmented: the same for every case of a run.

    Attributes:
        model: folder of a trained network.
        out: top of the derivatives.
        step: distance between windows in voxels; None: that of the weights' calibration.
        precision: "auto", "float32" or "mixed_bfloat16".
        flips: axes along which windows take turns to be mirrored; None: as `step`.
    """

    model: Path
    out: Path
    step: int | None = None
    precision: str = "auto"
    flips: tuple[str, ...] | None = None

    def identity(self) -> dict[str, Any]:
        """Return what decides the numbers of a result: weights and options."""
        card = read_card(self.model)
        weights = {"Name": self.model.resolve().name, "TrainedOn": card.cohort, "Classes": list(card.classes)}
        return {
            "GeneratedBy": [{"Name": "segsrgan_core", "Version": segsrgan_core.__version__}],
            "Weights": {**weights, "Sha256": self._weights_digest(card), "CardSha256": sha256(self.model / CARD)},
            "Options": {
                "Step": min(self.step or card.step, card.patch),
                "Precision": self.precision,
                "Flips": "".join(card.flips if self.flips is None else self.flips) or "none",
            },
        }

    def _weights_digest(self, card: ModelCard) -> str:
        return ";".join(sha256(self.model / name) for name in weight_files(card.networks))


def record_path(case: Case, out: Path) -> Path:
    """Return where a case's record is."""
    return out / case.path("dseg", ".json")


def read_record(path: Path) -> dict[str, Any] | None:
    """Read a case's record; None if it is not there or no record."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and "FilesSha256" in record else None


def is_done(case: Case, out: Path, identity: dict[str, Any]) -> bool:
    """Tell whether a case's outputs are whole and were made from this very image by these weights and options."""
    record = read_record(record_path(case, out))
    if record is None or not case.file.is_file() or record.get("SourceSha256") != _source_digest(case.file):
        return False
    made = {key: record.get(key) for key in identity}
    if identity["Options"]["Precision"] == "auto" and made["Options"]:
        made["Options"] = {**made["Options"], "Precision": "auto"}
    return made == identity and is_whole(record, out / case.folder.parent)


def _source_digest(path: Path) -> str:
    """Return the checksum of an image; of a pair that of `.img` and of `.hdr`, joined by `;`."""
    header = path.with_suffix(".hdr")
    files = [path, header] if path.suffix.lower() == ".img" and header.is_file() else [path]
    return ";".join(sha256(file) for file in files)


def is_whole(record: dict[str, Any], folder: Path) -> bool:
    """Tell whether every file of a record is there as it was written; paths are relative to the folder."""
    files = {folder / name: digest for name, digest in record["FilesSha256"].items()}
    return all(path.is_file() and sha256(path) == digest for path, digest in files.items())


def remove_case(case: Case, out: Path) -> None:
    """Remove what an earlier run made of a case, the record first."""
    path = record_path(case, out)
    record = read_record(path) or {"FilesSha256": {}}
    path.unlink(missing_ok=True)
    for name in record["FilesSha256"]:
        (out / case.folder.parent / name).unlink(missing_ok=True)


def write_case(case: Case, result: Segmentation, job: Job, facts: dict[str, Any], extra: list[Path]) -> None:
    """Write a case's images and sidecars.

    Args:
        case: whose.
        result: of its segmentation.
        job: how it was made.
        facts: for every sidecar.
        extra: more files that belong to the case, relative to `job.out`; they are there already.
    """
    stripped = bool((np.asarray(result.interpolated.dataobj) == 0).mean() > STRIPPED)
    images = [
        _write(job.out, case, "T2w", "", _rounded(result.image, IMAGE_BITS), {**facts, "SkullStripped": stripped}),
        *(
            _write(job.out, case, "probseg", name, _rounded(image, PROBABILITY_BITS), facts)
            for name, image in result.probabilities.items()
        ),
        *_write_others(job.out, case, result, facts),
    ]
    labels = save_image(result.labels, job.out / case.path("dseg", ".nii.gz"))
    files = [labels, *images, *(_sidecar(path) for path in images), *(job.out / path for path in extra)]
    home = job.out / case.folder.parent
    digests = {path.relative_to(home).as_posix(): sha256(path) for path in files}
    record = {"Volumes_ml": result.volumes_ml, "StandardErrors_ml": result.standard_errors_ml}
    record |= {"SourceSha256": _source_digest(case.file), "FilesSha256": digests}
    write_json(_sidecar(labels), {**facts, "Description": DESCRIPTIONS["dseg"], **record})


def _rounded(image: Nifti1Image, bits: int) -> Nifti1Image:
    """Round to steps of the power of 2 that divides the range in 2^bits or more: files of half the size or less."""
    array = np.asarray(image.dataobj)
    step = np.float32(2.0 ** (np.ceil(np.log2(max(np.abs(array).max(), 1e-30))) - bits))
    return Nifti1Image(np.round(array / step) * step, image.affine)


def _write(out: Path, case: Case, suffix: str, label: str, image: Nifti1Image, facts: dict[str, Any]) -> Path:
    path = save_image(image, out / case.path(suffix, ".nii.gz", label))
    write_json(_sidecar(path), {**facts, "Description": DESCRIPTIONS[suffix]})
    return path


def _write_others(out: Path, case: Case, result: Segmentation, facts: dict[str, Any]) -> list[Path]:
    """Write the maps that have a description of their own: uncertainty, and the hemispheres where they are known."""
    maps = {"uncertainty": ("probseg", _rounded(result.uncertainty, PROBABILITY_BITS))}
    if result.sides is not None:
        maps["hemispheres"] = ("dseg", result.sides)
    paths = []
    for name, (suffix, image) in maps.items():
        paths.append(save_image(image, out / case.path(suffix, ".nii.gz", desc=f"segsrgan{name}")))
        write_json(_sidecar(paths[-1]), {**facts, "Description": DESCRIPTIONS[name]})
    return paths


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name.replace(".nii.gz", ".json"))


def versions() -> dict[str, str]:
    """Return the versions of the libraries that the numbers go through."""
    return {name: metadata.version(name) for name in PACKAGES}


def write_description(out: Path, name: str) -> None:
    """Write `dataset_description.json`, which makes a folder a BIDS data set."""
    facts = {"BIDSVersion": "1.10.0", "DatasetType": "derivative"}
    maker = {"Name": "segsrgan_core", "Version": segsrgan_core.__version__}
    write_json(out / "dataset_description.json", {"Name": name, **facts, "GeneratedBy": [maker]})


def write_top(out: Path) -> None:
    """Write what stands at the top of the derivatives: description, table of labels, what is not BIDS."""
    write_description(out, "SegSRGAN: super-resolution and segmentation of thick-slice MRI")
    labels = pd.DataFrame({"index": list(DRAWEM9), "name": list(DRAWEM9.values())})
    write_csv(out / "desc-segsrgan_dseg.tsv", labels, sep="\t")
    write_text(out / "README", README)
    write_text(out / ".bidsignore", "\n".join(NOT_BIDS) + "\n")
