"""One head at several echo times, re-synthesised from a high-resolution image and its labels.

Relaxation is drawn here, apart from what training draws (`imaging.resynthesis`): around other values, and varying
within each tissue, so that no network is measured on its own assumptions.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.imaging.contrast import Relaxation, spin_echo
from segsrgan_core.imaging.geometry import spacing_mm
from segsrgan_core.imaging.resynthesis import CSF, resynthesise, tissue_signals
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
