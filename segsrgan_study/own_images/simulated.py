"""Thick-slice images simulated from high-resolution ones, in BIDS names."""

from pathlib import Path

import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.atomic import write_json
from segsrgan_core.imaging.contrast import exponent
from segsrgan_core.simulation import Simulation
from segsrgan_study.files import load_image, save_image
from segsrgan_study.own_images.bids import write_description
from segsrgan_study.own_images.names import Case, joined
from segsrgan_study.progress import track


def simulate_all(
    cases: list[Case], out: Path, settings: Simulation, contrast: float = 1.0, seed: int = 0
) -> list[Path]:
    """Simulate the thick-slice image of every case, as the study does.

    Args:
        cases: high-resolution images.
        out: top of a BIDS folder.
        settings: slices and noise.
        contrast: exponent p > 0 of x^p, before the slices are cut; 1 changes nothing.
        seed: of the noise.

    Returns:
        The images, `sub-01/anat/sub-01_acq-axial3mm_T2w.nii.gz` and such.
    """
    write_description(out, "Thick-slice images, simulated from high-resolution ones")
    return [_simulate(case, out, settings, contrast, seed) for case in track(cases, "simulated")]


def _simulate(case: Case, out: Path, settings: Simulation, contrast: float, seed: int) -> Path:
    # A case's noise depends on its name, not on its place in the list.
    rng = np.random.default_rng([seed, *case.name.encode()])
    low = settings.acquire(_recoloured(load_image(case.file), contrast), rng)
    size = f"{settings.slice_mm:g}mm".replace(".", "p")
    acq = f"{case.entities.get('acq', '')}{settings.plane}{size}"
    base = f"{out / case.folder / joined({**case.entities, 'acq': acq})}_T2w"
    facts = {"Sources": [case.source], "SkullStripped": False, "SliceThickness": settings.slice_mm, "Seed": seed}
    facts |= {"SlicePlane": settings.plane, "SliceProfile": settings.profile, "NoiseShare": settings.noise}
    write_json(f"{base}.json", {**facts, "ContrastExponent": contrast})
    return save_image(low, f"{base}.nii.gz")


def _recoloured(image: Nifti1Image, contrast: float) -> Nifti1Image:
    array = np.clip(np.asarray(image.dataobj), 0, None)
    top = np.float32(array.max())
    return Nifti1Image(top * exponent(array / top, contrast), image.affine)
