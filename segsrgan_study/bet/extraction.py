"""Brain extraction (BET: Smith 2002, doi 10.1002/hbm.10062) and the intracranial volume that it gives.

Two programs do the same algorithm: PyPI's `brainextractor`, always there, and FSL's `bet`, where a person installed it.
The mask of brainextractor is drawn from its surface on the image's own grid. The surface lies between voxels, so it can
be fitted on a coarse isotropic grid: on the fetal atlas 1.5 mm gives the volume of the 0.8 mm grid within 0.2 % at
262 ml (30 weeks) and 1.3 % at 51 ml (21 weeks), in about 200 iterations of the 1000 that BET runs.

Two things make it hold out against noise, which grows as echoes fade: the image is smoothed first, and BET's robust
minimum is taken over the field of view, as in Smith's program, not over the margin of zeros that is added here.

A third makes it hold out against contrast. BET's threshold is a share of the head's median, which at long echo times
fluid and white matter pull above the cortex, so that the surface cuts the cortex off. What BET is fed is therefore cut
at the level of the brain's darkest tissue (`tissue_level`): all tissue is then equally bright, and the threshold lies
between it and what is outside. BET's own threshold of 0.5 is too small then; 0.8 is used. Error of the volume in 3 mm
slices at TE 120, 200, 280 and 360 ms, mean over heads (worst):

    2 phantoms with skull        +1.4 +1.7 +2.7 +4.0 (+8.6) %
    4 phantoms without skull     -1.5 +0.6 +2.0 +2.5 (+6.4) %
    fetal atlas, 24, 27, 30, 34  -1.8 +1.1 +2.8 +2.8 (+6.6) %; -24 (-37) % at 360 ms by the head's median

It does not hold where grey matter fades into the noise (T2 of 105 ms at TE 360 ms, four heads: -53 to +54 %) or is as
dark as the scalp (the same T2 at TE 120 ms, with skull: +26 %): one reason why the network's mask goes first.
"""

import contextlib
import io
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import FWHM_PER_SIGMA, resample_isotropic
from segsrgan_study.boxes import head_box
from segsrgan_study.files import save_image

RADII_OF_CURVATURE_MM = (3.33, 10.0)  # Smith 2002: between them the surface is smoothed gradually
SMOOTHING_MM = 2.0  # full width at half maximum; BET takes the darkest of a dozen voxels, which noise makes darker
MARGIN_MM = 25.0  # BET looks 20 mm inwards of each vertex; brainextractor reads past the array if there is no room
MIDDLE, DARK = 0.6, 10  # radius of the middle over the head's; percentile that is its darkest tissue
START = 0.75  # first radius over the head's; BET starts at 0.5 and arrives at the same volume (within 0.5 %) later
ITERATIONS = 500  # at most
CHUNK = 25  # iterations between two looks at the surface's volume: it rests when that changes by less than 0.1 %


def bet_mask(
    image: Nifti1Image, threshold: float, program: str = "brainextractor", spacing_mm: float = 1.5
) -> Nifti1Image:
    """Find the intracranial mask of a T2w image (X, Y, Z) of any spacing and orientation: uint8 on its grid.

    `threshold` is BET's fractional intensity threshold, between 0 and 1 (smaller gives a larger mask), `program`
    "brainextractor" or "fsl", `spacing_mm` the isotropic grid on which brainextractor fits its surface. A UserError
    tells that the image has no head, no mask was found, or `program` is "fsl" and FSL is not installed.
    """
    coarse, volume = head(image, spacing_mm), 0.0
    level = tissue_level(coarse)
    if program == "fsl":
        array = np.asarray(image.dataobj, np.float32)
        return _fsl_mask(Nifti1Image(np.minimum(array, np.percentile(array, 2) + level), image.affine), threshold)
    from segsrgan_study.bet.kernel import fill

    coarse = Nifti1Image(np.minimum(np.asarray(coarse.dataobj), level), coarse.affine)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints a line an iteration
        extractor = _extractor(coarse, threshold, spacing_mm)
        for _ in range(0, ITERATIONS, CHUNK):
            extractor.run(CHUNK)
            if not np.all((extractor.vertices >= 0) & (extractor.vertices <= np.array(coarse.shape) - 1)):
                raise UserError(f"image: BET's surface left the head at threshold {threshold}; use a larger one.")
            previous, volume = volume, abs(extractor.surface.volume)
            if abs(volume - previous) < 1e-3 * volume:
                break
    vertices = nib.affines.apply_affine(np.linalg.inv(image.affine) @ coarse.affine, extractor.vertices)
    return Nifti1Image(fill(vertices, np.asarray(extractor.faces, np.int64), image.shape), image.affine)


def head(image: Nifti1Image, spacing_mm: float) -> Nifti1Image:
    """Cut out the head on an isotropic grid, smooth, intensities at least 0, with `MARGIN_MM` of zeros around it."""
    coarse = resample_isotropic(image, spacing_mm)
    data = ndimage.gaussian_filter(np.asarray(coarse.dataobj), SMOOTHING_MM / FWHM_PER_SIGMA / spacing_mm)
    data = np.clip(data - np.percentile(data, 2), 0, None)
    if not data.any():
        raise UserError("image: no voxel is above 0, so there is no head; check the image.")
    box = head_box(data)
    margin = int(np.ceil(MARGIN_MM / spacing_mm))
    start = np.array([part.start for part in box]) - margin
    return Nifti1Image(np.pad(data[box], margin), coarse.affine @ nib.affines.from_matvec(np.eye(3), start))


def tissue_level(image: Nifti1Image) -> float:
    """Return the intensity of the brain's darkest tissue in an image of `head`, that BET's input is cut at.

    The brain's middle is a ball around the head's centre of mass, of `MIDDLE` times its radius, as BET finds both.
    """
    array = np.asarray(image.dataobj)
    bright = np.percentile(array[array > 0], 98)
    tissue = array > 0.1 * bright
    weights = np.where(tissue, np.minimum(array, bright), 0)
    centre = np.array(ndimage.center_of_mass(weights)).reshape(3, 1, 1, 1)
    radius = np.cbrt(3 * np.count_nonzero(tissue) / (4 * np.pi))
    middle = np.linalg.norm(np.indices(array.shape) - centre, axis=0) < MIDDLE * radius
    return float(np.percentile(array[middle & tissue], DARK))


def _extractor(coarse: Nifti1Image, threshold: float, spacing_mm: float) -> Any:
    """Return brainextractor's state before the first step, with two of its inputs corrected.

    Its percentiles over the whole grid are here those of the voxels above 0, because a stripped brain fills a few
    hundredths of its field of view. Radii of curvature are in voxels, as the lengths that it compares them with.
    """
    from brainextractor import BrainExtractor

    from segsrgan_study.bet.kernel import step, vertex_normals

    filled = np.count_nonzero(coarse.dataobj) / np.prod(coarse.shape)
    low, high = (radius / spacing_mm for radius in RADII_OF_CURVATURE_MM)
    extractor = BrainExtractor(coarse, t98t=1 - 0.02 * filled, bt=threshold, rmin=low, rmax=high)
    extractor.step_of_deformation = step
    extractor.compute_face_normals = extractor.compute_face_angles = lambda *_: None  # they serve the vertices' alone
    extractor.compute_vertex_normals = lambda *_: vertex_normals(extractor.vertices, extractor.faces)
    extractor.vertices = extractor.c + (extractor.vertices - extractor.c) * START / 0.5
    extractor.update_surface_attributes()
    return extractor


def _fsl_mask(image: Nifti1Image, threshold: float) -> Nifti1Image:
    """Run FSL's `bet` in a scratch folder; uint8 mask on the image's grid."""
    if (program := shutil.which("bet")) is None:
        raise UserError("variability.bet_program: FSL's bet is not on PATH; install FSL, or set it to brainextractor.")
    with tempfile.TemporaryDirectory() as folder:
        save_image(image, Path(folder, "image.nii.gz"))
        command = [program, "image.nii.gz", "brain.nii.gz", "-m", "-n", "-f", str(threshold)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        masks = sorted(Path(folder).glob("brain*mask.nii*"))
        mask = np.asarray(nib.load(masks[0]).dataobj) > 0 if masks else np.zeros(1)
    if done.returncode or not mask.any():
        fault = f"FSL's bet gave {'an empty mask' if masks else 'no mask'} and the exit code {done.returncode}"
        advice = f"try a smaller variability.bet_threshold than {threshold}"
        raise UserError(f"bet: {fault} ({done.stderr.strip()[-300:]}); {advice}.")
    return Nifti1Image(mask.astype(np.uint8), image.affine)
