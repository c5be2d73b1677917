"""One head at several echo times, re-synthesised from a high-resolution image and its labels or imaged by scanners.

Training multiplies an image by ratios of single-exponential signals (`imaging.resynthesis`), and so does
`at_echo_times`. But its relaxation is drawn here, apart from what training draws: around other values, and varying
within each tissue, so that no network is measured on its own assumptions.

The scanners are imaginary and for evaluation alone: other tissue, other partial volume and another grid than in any
training. Nothing of the image is used within the skull: every voxel of the labels gives the signal of its own water
pools, and what a scanner blurs and cuts are these signals, so that the contrast of a mixed voxel depends on the echo
time as it does in a patient.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from segsrgan_core.imaging.contrast import Relaxation, spin_echo
from segsrgan_core.imaging.geometry import FWHM_PER_SIGMA, centred_grid, resample_to, spacing_mm
from segsrgan_core.imaging.noise import add_rician
from segsrgan_core.imaging.resynthesis import CSF, resynthesise, tissue_signals
from segsrgan_core.simulation import Simulation
from segsrgan_study.phantoms.image import draw_relaxation
from segsrgan_study.phantoms.shape import Rng, smooth_noise

TE_MS = (120, 200, 280, 360)  # the talk's
TR_MS = (4000.0, 12000.0)
NOISE = 0.02  # sd, a share of CSF's signal at the shortest TE; the same at every TE, so that the SNR falls
# Grey and white matter: the ranges measured at 1.5 T (Lajous et al. 2022: T1 1955 to 2434 and 2324 to 3098 ms, T2 172
# to 191 and 270 to 300 ms), their middles. Fluid: FaBiAN's. Assumed: M0, the mixed structures, and all without a label.
GREY = Relaxation(2195, 181, 0.86)
WHITE = Relaxation(2711, 285, 0.90)
FLUID = Relaxation(4000, 2000, 1.0)
OTHER = Relaxation(1500, 90, 0.80)
TISSUES = {0: OTHER, 1: FLUID, 2: GREY, 3: WHITE, 4: OTHER, 5: FLUID}
TISSUES |= {6: replace(GREY, t2_ms=190), 7: replace(GREY, t2_ms=170), 8: replace(GREY, t2_ms=185), 9: GREY}
VARIATION = {8.0: 0.06, 2.5: 0.04}  # of T2 within a tissue: distance in mm to half width

Pools = tuple[tuple[float, Relaxation], ...]  # share of the water, its relaxation
OUTER_T2_MS = 90.0  # assumed
SCANNED_VARIATION = {12.0: 0.05, 4.0: 0.05}  # as VARIATION


def t2_factor(shape: tuple[int, ...], spacing_mm: float, variation: Mapping[float, float], rng: Rng) -> np.ndarray:
    """Draw how T2 varies within a tissue, (X, Y, Z), 0.7 to 1.3: waves of a distance in mm and a half width."""
    waves = [width * smooth_noise(shape, spacing_mm, mm, rng) for mm, width in variation.items()]
    return np.clip(1 + sum(waves), 0.7, 1.3)


def at_echo_times(image: Nifti1Image, labels: Nifti1Image, rng: Rng) -> tuple[dict[float, Nifti1Image], float]:
    """Re-synthesise a high-resolution image, with drawem9 labels on its grid, at the talk's echo times, without noise.

    Relaxation, its variation and TR are drawn once for all of them. Returned are echo time to image, float32 (X, Y, Z),
    in which the brightness of CSF is the image's own at the shortest TE and falls with its T2; and the standard
    deviation of the noise that belongs to them, see `NOISE`.
    """
    array, numbers = np.asarray(image.dataobj, np.float32), np.asarray(labels.dataobj).astype(np.uint8)
    tissues, tr_ms = draw_relaxation(rng, TISSUES), rng.uniform(*TR_MS)
    factor = t2_factor(array.shape, float(spacing_mm(image).mean()), VARIATION, rng)
    m0, t1, t2 = (np.array([getattr(tissues[n], key) for n in range(10)])[numbers] for key in ("m0", "t1_ms", "t2_ms"))
    fluid = tissues[CSF]
    brightest = spin_echo(fluid.m0, fluid.t1_ms, fluid.t2_ms, min(TE_MS), tr_ms)
    source = tissue_signals(array, numbers)
    images = {}
    for te in TE_MS:
        wished = (spin_echo(m0, t1, t2 * factor, te, tr_ms) / brightest).astype(np.float32)
        images[te] = Nifti1Image(resynthesise(array, numbers, source, wished), image.affine)
    return images, NOISE * float(source[CSF])


class Physics(NamedTuple):
    """A scanner and the tissue in it."""

    grey: Pools
    white: Pools
    fluid: Pools
    tr_ms: float
    noise: float  # sd, a share of the fluid's signal at the shortest TE; the same at all TE, so that a floor is reached
    b1: float  # largest deviation of the transmit field from 1; an echo's amplitude goes with sin^3 of its flip angle
    blur_mm: float  # full width at half maximum of the isotropic blur before slices are cut
    pixel_mm: float  # voxel size within the slices
    profile: str  # of the slices, see `Simulation`

    def tissues(self) -> dict[int, Pools]:
        """Water pools of each drawem9 number within the skull; deep structures are mixtures (assumed)."""

        def mixture(white: float) -> Pools:
            parts = ((1 - white, self.grey), (white, self.white))
            return tuple((part * share, water) for part, pools in parts for share, water in pools)

        deep = {6: mixture(0.25), 7: mixture(0.35), 8: mixture(0.45), 9: mixture(0.1)}
        return {1: self.fluid, 2: self.grey, 3: self.white, 5: self.fluid} | deep


# Where no source is named, values are assumed, as are all M0. That white matter has water pools of different T2 is from
# Kulikova et al. 2016 (three compartments in infants), a ratio of 1.8 between T2 of white and grey matter from Williams
# et al. 2005 (R2 of neonates at 3 T), the ends of the ranges at 1.5 T and T1 at 3 T from Lajous et al. 2022.
PHYSICS: dict[str, Physics] = {
    "two water pools": Physics(
        grey=((0.85, Relaxation(2500, 135, 0.87)), (0.15, Relaxation(3500, 500, 0.87))),
        white=((0.10, Relaxation(1500, 40, 0.93)), (0.90, Relaxation(3300, 300, 0.93))),
        fluid=((1.0, Relaxation(4400, 1400, 1.0)),),
        tr_ms=9000.0,
        noise=0.015,
        b1=0.1,
        blur_mm=0.9,
        pixel_mm=0.7,
        profile="gaussian",
    ),
    "little contrast, much noise": Physics(
        grey=((1.0, Relaxation(1955, 191, 0.85)),),
        white=((1.0, Relaxation(2324, 270, 0.88)),),
        fluid=((1.0, Relaxation(4000, 2000, 1.0)),),
        tr_ms=6000.0,
        noise=0.04,
        b1=0.2,
        blur_mm=0.8,
        pixel_mm=0.6,
        profile="box",
    ),
    "short T2, coarse pixels": Physics(
        grey=((1.0, Relaxation(2300, 125, 0.92)),),
        white=((1.0, Relaxation(3100, 225, 0.95)),),
        fluid=((1.0, Relaxation(4200, 1000, 1.0)),),
        tr_ms=4500.0,
        noise=0.02,
        b1=0.15,
        blur_mm=1.3,
        pixel_mm=1.0,
        profile="gaussian",
    ),
}


def pure_signals(physics: Physics, te_ms: float, longer: np.ndarray | float = 1.0) -> Mapping[int, np.ndarray]:
    """Return the signal of each tissue by drawem9 number: its pools' spin echoes, all T2 multiplied by `longer`."""

    def echo(water: Relaxation) -> np.ndarray:
        return spin_echo(water.m0, water.t1_ms, water.t2_ms * longer, te_ms, physics.tr_ms)

    return {number: sum(share * echo(water) for share, water in pools) for number, pools in physics.tissues().items()}


def scan(
    image: Nifti1Image, labels: Nifti1Image, physics: Physics, simulation: Simulation, rng: Rng, skull: bool = True
) -> dict[float, Nifti1Image]:
    """Image a head in thick slices, of the simulation's plane, thickness and distance, at the talk's echo times.

    The labels are drawem9 numbers on the grid of the image, float32 (X, Y, Z), high resolution, RAS+, which is used
    outside of the skull's content alone; without `skull` there is nothing. Echo time to thick slices, float32, is
    returned; fluid at the shortest TE is as bright as in the image.
    """
    array, numbers = np.asarray(image.dataobj, np.float32), np.asarray(labels.dataobj).astype(np.uint8)
    spacing = float(spacing_mm(image).mean())
    factor = t2_factor(array.shape, spacing, SCANNED_VARIATION, rng)
    field = 1 + physics.b1 * np.clip(smooth_noise(array.shape, spacing, 60.0, rng), -1, 1)
    echo = np.sin(np.pi / 2 * field) ** 3
    bright = float(tissue_signals(array, numbers)[CSF])
    gain = bright / float(pure_signals(physics, min(TE_MS))[CSF])
    cut = simulation.model_copy(update={"profile": physics.profile})
    images = {}
    for te in TE_MS:
        pure = array * np.exp((min(TE_MS) - te) / OUTER_T2_MS) * skull
        for number, signal in pure_signals(physics, te, factor).items():
            here = numbers == number
            pure[here] = gain * signal[here]
        seen = ndimage.gaussian_filter(pure * echo, physics.blur_mm / FWHM_PER_SIGMA / spacing, output=np.float32)
        slices = _regridded(cut.slices(Nifti1Image(seen, image.affine)), physics.pixel_mm, cut.axis)
        noisy = add_rician(np.clip(slices.dataobj, 0, None), physics.noise * bright, rng)
        images[te] = Nifti1Image(noisy, slices.affine)
    return images


def _regridded(slices: Nifti1Image, pixel_mm: float, axis: int) -> Nifti1Image:
    """Resample slices to other pixels; the middle of the field of view lies between pixels or on one, as it comes."""
    spacing = np.array(spacing_mm(slices))
    wished = np.where(np.arange(3) == axis, spacing, pixel_mm)
    shape = tuple(int(n) for n in np.floor(np.array(slices.shape) * spacing / wished + 1e-6))
    return resample_to(slices, shape, centred_grid(slices.affine, slices.shape, shape, wished))
