"""Simulation of thick-slice images from high-resolution ones, with BIDS names."""

from pathlib import Path

import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.atomic import write_json
from segsrgan_core.errors import UserError
from segsrgan_core.imaging.contrast import exponent
from segsrgan_core.simulation import Simulation
from segsrgan_study.files import load_image, save_image
from segsrgan_study.own_images import bids
from segsrgan_study.own_images.failures import place_digest
from segsrgan_study.own_images.names import InputImage, entities_of, joined
from segsrgan_study.own_images.records import read_facts
from segsrgan_study.progress import say, track


def simulate_all(
    images: list[InputImage], out: Path, settings: Simulation, contrast: float = 1.0, seed: int = 0
) -> list[Path]:
    """Simulate a thick-slice image of each high-resolution image, as the study does, and return their paths.

    `out` is the top of a BIDS folder, for images such as `sub-01/anat/sub-01_acq-axial3mm_T2w.nii.gz`; `contrast` the
    exponent p > 0 of x^p, applied before the slices are cut. An image that fails is told and left out.
    """
    bids.refuse_inside(out, [image.origin for image in images])
    facts = {"SkullStripped": False, "SliceThickness": settings.slice_mm, "SlicePlane": settings.plane, "Seed": seed}
    facts |= {"SliceProfile": settings.profile, "NoiseShare": settings.noise, "ContrastExponent": contrast}
    paths = []
    for image in track(images, "simulated"):
        entities = entities_of(image.name)
        acq = f"{entities.get('acq', '')}{settings.plane}{settings.slice_mm:g}mm".replace(".", "p")
        base = f"{out / image.home / 'anat' / joined({**entities, 'acq': acq})}_T2w"
        # The noise depends on the name of the image, not on its place in the list.
        rng = np.random.default_rng([seed, *image.name.encode()])
        try:
            if bids.came_from_another(image, read_facts(Path(f"{base}.json"))):
                raise UserError(f"{base}.nii.gz was simulated from another image; give another subject or --out.")
            high = load_image(image.file)
            array = np.clip(np.asarray(high.dataobj), 0, None)
            top = np.float32(array.max())
            low = settings.acquire(Nifti1Image(top * exponent(array / top, contrast), high.affine), rng)
        except UserError as error:
            say(str(error) if str(image.file) in str(error) else f"{image.file}: {error}")
            continue
        if not paths:
            bids.write_description(out, bids.SIMULATED)
        source = {"SourceSha256": bids.source_digest(image.file), "SourcePlace": place_digest(image.origin)}
        write_json(f"{base}.json", {**facts, "Sources": [image.source], **source})
        paths.append(save_image(low, f"{base}.nii.gz"))
    return paths
