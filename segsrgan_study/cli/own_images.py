"""Commands `segsrgan segment` and `segsrgan simulate`."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import typer

from segsrgan_study.progress import say

INPUTS = "Images (.nii, .nii.gz, .mgz, .img/.hdr), folders (NIfTI, DICOM), CSV tables, manifests or cohorts."
Inputs = Annotated[list[Path], typer.Argument(help=INPUTS, show_default=False)]
MODEL = typer.Option(help="Folder of a trained model, or packaged weights; default: by the slices' plane.")
REFERENCE = typer.Option(help="Growth curve: newborn, fetus, or a table of your own controls (their volumes.tsv).")
Precision = Literal["auto", "float32", "mixed_bfloat16", "int8"]
Engine = Literal["auto", "openvino", "tensorflow"]
LISTS = ("--participant-label", "--participant_label", "--session-label", "--session_label")
TE = typer.Option(min=1, max=1e4, help="Echo time in ms, of several: the nearest within 10 %.")
SUBJECTS = typer.Option(*LISTS[:2], help="Subjects to segment, with or without sub-.")
SESSIONS = typer.Option(*LISTS[2:], help="Sessions to segment, with or without ses-.")
Split = Annotated[str, typer.Option(help="Use one split of a manifest only: train, val, test or variability.")]


def segment(
    images: Inputs,
    out: Annotated[Path, typer.Option(help="Folder for the BIDS derivatives.")],
    model: Annotated[str | None, MODEL] = None,
    series: Annotated[str, typer.Option(help="DICOM series: its number or a part of its description.")] = "",
    te: Annotated[float | None, TE] = None,
    participant_label: Annotated[list[str] | None, SUBJECTS] = None,
    session_label: Annotated[list[str] | None, SESSIONS] = None,
    split: Split = "",
    precision: Annotated[Precision, typer.Option(help="Of the network; auto: bfloat16, else int8.")] = "auto",
    engine: Annotated[Engine, typer.Option(help="Of the network; auto takes TensorFlow on a GPU only.")] = "auto",
    spacing: Annotated[float | None, typer.Option(min=0.3, help="Voxels in mm; default: those in plane.")] = None,
    reference: Annotated[str, REFERENCE] = "newborn",
    workers: Annotated[str, typer.Option(help="Images at a time: auto, a number, or slurm:NUMBER.")] = "auto",
) -> None:
    """Segment thick-slice images: super-resolved image, labels, uncertainty and volumes.

    OUT/report.html shows every case. OUT/cases.tsv has one row a case: verdict, failures with their reasons, volumes.
    OUT/volumes.tsv has one row a case, tissue and side: volume, and shape of the cortex. An interrupted run continues
    with the same command; an image that fails does not stop the others.

    For example:

    - segsrgan segment sub-01_T2w.nii.gz --out derivatives
    - segsrgan segment dicom_folder --series "t2 tse" --out derivatives
    - segsrgan segment bids_folder --participant-label 01 02 --session-label 1 --out derivatives
    - segsrgan segment hospital.csv --te 120 --model my_model --out derivatives
    """
    from segsrgan_core.errors import UserError
    from segsrgan_core.segmenter import read_card
    from segsrgan_study.own_images.bids import Job
    from segsrgan_study.own_images.inputs import find_images
    from segsrgan_study.own_images.quality import plane_of
    from segsrgan_study.own_images.run import segment_all
    from segsrgan_study.weights import BY_PLANE, find_model

    statuses = []
    folders = {name: find_model(name) for name in ([model] if model else BY_PLANE.values())}
    cards = {name: read_card(folder) for name, folder in folders.items()}
    for card in cards.values():
        if spacing and spacing > card.spacing_mm:
            raise UserError(f"--spacing {spacing:g}: the network works at {card.spacing_mm:g} mm; choose finer voxels.")
    with tempfile.TemporaryDirectory() as scratch:
        chosen = (series, split, te, participant_label or (), session_label or ())
        found, failures = find_images(images, Path(scratch), *chosen)
        suited = {image: model or BY_PLANE[plane_of(image)] for image in found}
        for name in sorted({*suited.values()}) or list(folders)[:1]:
            say(f"weights {folders[name].resolve().name!r}, trained on {cards[name].cohort}.")
            job = Job(folders[name], out, precision, engine, spacing, reference)
            statuses += segment_all([one for one in found if suited[one] == name], failures, job, workers)
            failures = []
    count = Counter(one.state for one in statuses)
    say(f"{count['done']} segmented, {count['there']} there already, {count['failed']} failed: {out / 'report.html'}")
    if count["failed"]:
        raise typer.Exit(2)


def simulate(
    images: Inputs,
    out: Annotated[Path, typer.Option(help="Folder for the simulated images (BIDS).")],
    thickness: Annotated[float, typer.Option(min=0.1, max=10, help="Slice thickness in mm.")] = 3.0,
    plane: Annotated[Literal["axial", "coronal", "sagittal"], typer.Option(help="Plane of the slices.")] = "axial",
    profile: Annotated[Literal["gaussian", "box"], typer.Option(help="Slice profile.")] = "gaussian",
    noise: Annotated[float, typer.Option(min=0, max=0.5, help="Rician noise, a share of the brightest value.")] = 0.01,
    contrast: Annotated[float, typer.Option(min=0.1, max=10, help="Exponent p of x^p; 1 changes nothing.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
    split: Split = "",
) -> None:
    """Simulate thick-slice images from high-resolution ones.

    For example:

    - segsrgan simulate sub-01_T2w.nii.gz --out thick
    - segsrgan simulate fetal_atlas --split test --thickness 4 --noise 0.02 --out thick
    """
    from segsrgan_core.simulation import Simulation
    from segsrgan_study.own_images.inputs import find_images
    from segsrgan_study.own_images.simulated import simulate_all

    grid = {"distance_mm": None, "spacing_mm": None}
    settings = Simulation(slice_mm=thickness, plane=plane, profile=profile, noise=noise, **grid)
    with tempfile.TemporaryDirectory() as scratch:
        found, failures = find_images(images, Path(scratch), split=split)
        made = simulate_all(found, out, settings, contrast, seed)
    failed = len(failures) + len(found) - len(made)
    advice = f"; next: segsrgan segment {out} --out derivatives" if made else ""
    say(f"{len(made)} simulated, {failed} failed{advice}")
    if failed:
        raise typer.Exit(2)
