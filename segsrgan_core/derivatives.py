"""BIDS derivatives: where the outputs of one's own images go, and what is written beside them."""

import re
import sys
from pathlib import Path

import pandas as pd
from nibabel.nifti1 import Nifti1Image

import segsrgan_core
from segsrgan_core.cohorts.labels import DRAWEM9
from segsrgan_core.errors import UserError
from segsrgan_core.imaging.files import load_image, save_image, stem, write_csv, write_json
from segsrgan_core.networks.functions import choose_policy
from segsrgan_core.progress import track
from segsrgan_core.segmenter import Segmentation, Segmenter, load_segmenter

ABBREVIATIONS = {"cortex": "CGM", "white": "WM", "csf": "CSF"}  # BIDS common image-derived labels


def segment_all(images: list[Path], out: Path, model: Path, step: int, precision: str) -> list[Path]:
    """Segment images one after the other; one that fails does not stop the others.

    Args:
        images: files.
        out: folder of the derivatives; `volumes.tsv` and `failures.tsv` stand at its top.
        model: folder of a trained model.
        step: distance between windows in voxels.
        precision: "auto", "float32" or "mixed_bfloat16".

    Returns:
        The images that failed; each was named with its reason on standard error and in `failures.tsv`.
    """
    segmenter = load_segmenter(model, step, choose_policy(precision))
    _refuse_same_names(images)
    write_description(out)
    volumes, failures = [], []
    for path in track(images, "segmented"):
        try:
            result = segmenter(load_image(path))
        except UserError as error:
            reason = str(error) if str(path) in str(error) else f"{path}: {error}"
            print(f"segsrgan: {reason}", file=sys.stderr)
            failures.append({"image": path.name, "reason": reason})
            continue
        for note in result.notes:
            print(f"segsrgan: {path}: note: {note}.", file=sys.stderr)
        write_case(result, path, out, segmenter)
        volumes.append({"image": path.name, **{f"{name}_ml": ml for name, ml in result.volumes_ml.items()}})
    write_csv(out / "volumes.tsv", pd.DataFrame(volumes, columns=None if volumes else ["image"]), sep="\t")
    if failures:
        write_csv(out / "failures.tsv", pd.DataFrame(failures), sep="\t")
    else:
        (out / "failures.tsv").unlink(missing_ok=True)
    failed = {row["image"] for row in failures}
    return [path for path in images if path.name in failed]


def _refuse_same_names(images: list[Path]) -> None:
    places: dict[str, Path] = {}
    for path in images:
        other = places.setdefault(str(case_folder(path) / entities(path)), path)
        if other is not path:
            raise UserError(
                f"{path}: expected images with different names; {other} would be written to the same files."
            )


def entities(path: Path) -> str:
    """Return the BIDS entities of a file: its own where it has them, else `sub-` and its name's letters and digits."""
    name = stem(path)
    if re.match(r"sub-[A-Za-z0-9]+(_|$)", name):
        return re.sub(r"(_desc-[A-Za-z0-9]+)?_[A-Za-z0-9]+$", "", name) if "_" in name else name
    return "sub-" + (re.sub(r"[^A-Za-z0-9]", "", name) or "image")


def case_folder(path: Path) -> Path:
    """Return the folder of an image's derivatives, relative to the derivatives' top."""
    parts = dict(re.findall(r"(sub|ses)-([A-Za-z0-9]+)", entities(path)))
    folder = Path(f"sub-{parts['sub']}")
    return (folder / f"ses-{parts['ses']}" if "ses" in parts else folder) / "anat"


def write_case(result: Segmentation, source: Path, out: Path, segmenter: Segmenter) -> None:
    """Write one image's derivatives: T2w, dseg, probabilities, each with a JSON sidecar."""
    base = out / case_folder(source) / f"{entities(source)}_desc-segsrgan"
    facts = {
        "Sources": [source.name],
        "GeneratedBy": f"segsrgan_core {segsrgan_core.__version__}",
        "TrainedOn": segmenter.card.cohort,
        "Notes": result.notes,
    }
    _write(result.image, f"{base}_T2w", {**facts, "SkullStripped": False})
    _write(result.labels, f"{base}_dseg", {**facts, "Labels": {str(n): DRAWEM9[n] for n in _numbers(segmenter)}})
    for name, probability in result.probabilities.items():
        label = ABBREVIATIONS.get(name, re.sub("[^A-Za-z0-9]", "", name.title()))
        _write(probability, f"{base.parent / entities(source)}_label-{label}_desc-segsrgan_probseg", facts)


def _numbers(segmenter: Segmenter) -> list[int]:
    return [number for number, name in DRAWEM9.items() if name in segmenter.card.classes]


def _write(image: Nifti1Image, base: str, facts: dict) -> None:
    save_image(image, f"{base}.nii.gz")
    write_json(f"{base}.json", facts)


def write_description(out: Path) -> None:
    """Write `dataset_description.json` and the table of labels."""
    description = {
        "Name": "SegSRGAN: super-resolution and segmentation of thick-slice MRI",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "segsrgan_core", "Version": segsrgan_core.__version__}],
    }
    write_json(out / "dataset_description.json", description)
    labels = pd.DataFrame({"index": list(DRAWEM9), "name": list(DRAWEM9.values())})
    write_csv(out / "desc-segsrgan_dseg.tsv", labels, sep="\t")
