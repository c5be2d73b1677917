"""One head at any echo and repetition time: a slab of a labelled image, its contrast by the spin-echo equation."""

from dataclasses import dataclass

import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.classes import NUMBERS
from segsrgan_core.imaging.contrast import TISSUES_1_5T, TISSUES_3T, Relaxation, spin_echo
from segsrgan_core.imaging.geometry import resample_like, spacing_mm, voxel_volume_ml
from segsrgan_core.imaging.noise import add_rician
from segsrgan_core.imaging.resynthesis import CSF, N_LABELS, resynthesise, tissue_signals
from segsrgan_core.metrics import dice
from segsrgan_core.segmenter import Segmenter
from segsrgan_core.simulation import Simulation
from segsrgan_study.figures.panels import mask_of

FIELDS = {"3 T": TISSUES_3T, "1.5 T": TISSUES_1_5T}
OUTSIDE = (0, NUMBERS["background"])
REFERENCE_MS = (120.0, 12000.0)  # TE and TR at which the image keeps its brightness


@dataclass(frozen=True)
class Echo:
    """The slab at one TE and TR.

    Attributes:
        low: thick slices with noise.
        spline: their interpolation.
        found: mask of the cortex that the network finds; None without a network.
        volume_ml: of it.
        dice: with the true cortex.
    """

    low: Nifti1Image
    spline: Nifti1Image
    found: Nifti1Image | None = None
    volume_ml: float = np.nan
    dice: float = np.nan


@dataclass(frozen=True)
class Slab:
    """The middle of a head, as high as a window of the network, so that it is segmented in seconds.

    Attributes:
        image: high resolution, RAS+.
        labels: drawem9 numbers on its grid.
    """

    image: Nifti1Image
    labels: Nifti1Image

    @property
    def cortex(self) -> Nifti1Image:
        """The true cortex."""
        return mask_of(self.labels, NUMBERS["cortex"])

    @property
    def cortex_ml(self) -> float:
        """Its volume."""
        return voxel_volume_ml(self.labels) * np.count_nonzero(self.cortex.dataobj)

    def at(
        self,
        te_ms: float,
        tr_ms: float,
        tissues: dict[str, Relaxation],
        settings: Simulation,
        segmenter: Segmenter | None = None,
    ) -> Echo:
        """Acquire the slab again, and segment it.

        Args:
            te_ms: echo time.
            tr_ms: repetition time.
            tissues: relaxation of grey, white and csf, one of FIELDS.
            settings: of the simulation. The noise is the same at every TE and TR: a share of the brightest value at
                REFERENCE_MS.
            segmenter: the network; none, and nothing is segmented.
        """
        array, numbers = np.asarray(self.image.dataobj, np.float32), np.asarray(self.labels.dataobj).astype(np.uint8)
        source, target = tissue_signals(array, numbers), signals_by_label(tissues, te_ms, tr_ms)
        contrast = (target / target[CSF]).astype(np.float32)
        contrast[list(OUTSIDE)] = source[list(OUTSIDE)] / source[CSF]  # air and skin keep their brightness
        fluid = target[CSF] / signals_by_label(tissues, *REFERENCE_MS)[CSF]
        signal = fluid * resynthesise(array, numbers, source, contrast)
        slices = settings.slices(Nifti1Image(signal, self.image.affine))
        noise = settings.noise * float(array.max())
        noisy = add_rician(np.clip(np.asarray(slices.dataobj), 0, None), noise, np.random.default_rng(0))
        low = Nifti1Image(noisy.astype(np.float32), slices.affine)
        return self._segmented(low, resample_like(low, self.image), segmenter)

    def _segmented(self, low: Nifti1Image, spline: Nifti1Image, segmenter: Segmenter | None) -> Echo:
        if segmenter is None:
            return Echo(low, spline)
        found = mask_of(segmenter(low, like=self.image).labels, NUMBERS["cortex"])
        true, mask = (np.asarray(one.dataobj) for one in (self.cortex, found))
        return Echo(low, spline, found, voxel_volume_ml(found) * np.count_nonzero(mask), dice(true, mask))


def cut_slab(image: Nifti1Image, labels: Nifti1Image, height_voxels: int) -> Slab:
    """Cut the slab around the middle of the cortex's height out of a RAS+ image."""
    inside = np.flatnonzero((np.asarray(labels.dataobj) == NUMBERS["cortex"]).any(axis=(0, 1)))
    middle = int(inside.mean()) if len(inside) else image.shape[2] // 2
    start = int(np.clip(middle - height_voxels // 2, 0, max(image.shape[2] - height_voxels, 0)))
    part = np.s_[:, :, start : start + height_voxels]
    return Slab(image.slicer[part], labels.slicer[part])


def signals_by_label(tissues: dict[str, Relaxation], te_ms: float, tr_ms: float) -> np.ndarray:
    """Return the spin-echo signal of each drawem9 number, float64 (10,): fluids, white matter, all else as grey."""
    named = {1: "csf", 5: "csf", 3: "white"}
    used = [tissues[named.get(number, "grey")] for number in range(N_LABELS)]
    return np.array([spin_echo(tissue.m0, tissue.t1_ms, tissue.t2_ms, te_ms, tr_ms) for tissue in used])


def height_in_voxels(image: Nifti1Image, segmenter: Segmenter | None, least_mm: float = 50.0) -> int:
    """Return the slab's height: a window of the network, and 50 mm at the least."""
    least = int(np.ceil(least_mm / float(spacing_mm(image)[2])))
    return max(least, segmenter.card.patch) if segmenter else least
