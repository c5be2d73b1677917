"""Simulation of thick-slice images from high-resolution ones, with BIDS names."""

from pathlib import Path

import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.atomic import write_json
from segsrgan_core.imaging.contrast import exponent
from segsrgan_core.simulation import Simulation
from segsrgan_study.files import load_image, save_image
from segsrgan_study.own_images.bids import write_description
from segsrgan_study.own_images.names import InputImage, joined
from segsrgan_study.progress import track


def simulate_all(
    images: list[InputImage], out: Path, settings: Simulation, contrast: float = 1.0, seed: int = 0
) -> list[Path]:
    """Simulate a thick-slice image of each high-resolution image, as the study does.

    Args:
        images: high-resolution images.
        out: top of a BIDS folder.
        settings: slices and noise.
        contrast: exponent p > 0 of x^p, applied before the slices are cut; 1 changes nothing.
        seed: of the noise.

    Returns:
        Paths of the images, such as `sub-01/anat/sub-01_acq-axial3mm_T2w.nii.gz`.
    """
    write_description(out, "Thick-slice images, simulated from high-resolution ones")
    return [_simulate(image, out, settings, contrast, seed) for image in track(images, "simulated")]


def _simulate(image: InputImage, out: Path, settings: Simulation, contrast: float, seed: int) -> Path:
    # The noise depends on the name of the image, not on its place in the list.
    rng = np.random.default_rng([seed, *image.name.encode()])
    low = settings.acquire(_recoloured(load_image(image.file), contrast), rng)
    size = f"{settings.slice_mm:g}mm".replace(".", "p")
    acq = f"{image.entities.get('acq', '')}{settings.plane}{size}"
    base = f"{out / image.home / 'anat' / joined({**image.entities, 'acq': acq})}_T2w"
    facts = {"Sources": [image.source], "SkullStripped": False, "SliceThickness": settings.slice_mm, "Seed": seed}
    facts |= {"SlicePlane": settings.plane, "SliceProfile": settings.profile, "NoiseShare": settings.noise}
    write_json(f"{base}.json", {**facts, "ContrastExponent": contrast})
    return save_image(low, f"{base}.nii.gz")


def _recoloured(image: Nifti1Image, contrast: float) -> Nifti1Image:
    array = np.clip(np.asarray(image.dataobj), 0, None)
    top = np.float32(array.max())
    return Nifti1Image(top * exponent(array / top, contrast), image.affine)
