"""Drift: how much of a thin tissue is found depends on the contrast at its edge, and so on the echo time.

Over echo times and relaxation values, the logarithm of found over true volume is close to a line in that contrast. The
line is learnt on known heads at random contrasts; with it, the tissue's bias is moved until its volume is the one that
would be found at the usual contrast.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from segsrgan_core.classes import LEAST, Classes, log_probabilities, main_tissue

Sides = np.ndarray | None
SHELL_VOXELS = 2  # around a tissue
DARK = 10  # percentile of the shell: what is as dark as the tissue there may be missed tissue


@dataclass(frozen=True)
class Drift:
    """The line; beyond the contrasts `low` to `high` that it was learnt from, nothing more is changed."""

    slope: float  # of log(found over true volume) on the contrast
    usual: float  # contrast at which a volume stays as it is
    low: float
    high: float

    def factor(self, contrast: float) -> float:
        """Return what a volume that was found at a contrast, see `edge_contrast`, is to be multiplied by."""
        return float(np.exp(-self.slope * (np.clip(contrast, self.low, self.high) - self.usual)))

    def remove(
        self, classes: Classes, probabilities: np.ndarray, labels: np.ndarray, image: np.ndarray, sides: Sides = None
    ) -> None:
        """Move the bias of the main tissue, in place, until its volume is that of the usual contrast.

        Args:
            classes: of the channels.
            probabilities: float32 (X, Y, Z, channels), calibrated.
            labels: their drawem9 numbers, (X, Y, Z).
            image: float32 (X, Y, Z), the super-resolved image.
            sides: (X, Y, Z), above 0 within the skull; None if that is not known.
        """
        name = main_tissue(classes.names)
        tissue = labels == classes.numbers[name]
        contrast = edge_contrast(image, tissue, sides)
        if np.isfinite(contrast):
            named = np.stack([*classes.of(probabilities).values()], -1)
            log_p = log_probabilities(named[named.sum(-1) > LEAST])
            wished = round(np.count_nonzero(tissue) * self.factor(contrast))
            bias = bias_for(log_p, 1 + classes.names.index(name), wished)
            classes.calibrate(probabilities, 1.0, {name: np.nan_to_num(bias)})


def edge_contrast(image: np.ndarray, tissue: np.ndarray, sides: Sides = None) -> float:
    """Return log(median of the image in a tissue / dark part of a shell around it); nan where there is none.

    Args:
        image: float32 (X, Y, Z).
        tissue: bool (X, Y, Z).
        sides: (X, Y, Z), above 0 within the skull, where the shell ends; None if that is not known.
    """
    if not tissue.any():
        return np.nan
    shell = ndimage.binary_dilation(tissue, iterations=SHELL_VOXELS, mask=None if sides is None else sides > 0)
    shell &= ~tissue
    inner, outer = np.median(image[tissue]), np.percentile(image[shell], DARK) if shell.any() else np.nan
    return float(np.log(inner / outer)) if min(inner, outer) > 0 else np.nan


def bias_for(log_p: np.ndarray, tissue: int, volume: int) -> float:
    """Return the bias of a class with which it gets a number of voxels; nan where it cannot.

    A class is found where its bias is above the lead that the likeliest other one has: the bias is the lead whose rank
    is the volume.

    Args:
        log_p: float32 (N, classes), logarithms of probabilities.
        tissue: index of the class.
        volume: in voxels.
    """
    if not 0 < volume < len(log_p):
        return np.nan
    lead = np.max(np.delete(log_p, tissue, axis=1), axis=1) - log_p[:, tissue]
    return float(np.partition(lead, (volume - 1, volume))[volume - 1 : volume + 1].mean())
