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
        """Return what a volume that was found at a contrast, see `darkness`, is to be multiplied by."""
        return float(np.exp(-self.slope * (np.clip(contrast, self.low, self.high) - self.usual)))

    def remove(self, classes: Classes, probabilities: np.ndarray, image: np.ndarray, sides: Sides = None) -> None:
        """Move the bias of the main tissue, in place, until its volume is that of the usual contrast.

        Probabilities are float32 (X, Y, Z, channels of the classes), calibrated; the image, the super-resolved one, and
        the sides are as in `darkness`.
        """
        name = main_tissue(classes.names)
        tissue = classes.decode(probabilities)[0] == classes.numbers[name]
        contrast = darkness(image, tissue, sides)
        if np.isfinite(contrast):
            named = np.stack([*classes.of(probabilities).values()], -1)
            log_p = log_probabilities(named[named.sum(-1) > LEAST])
            wished = round(np.count_nonzero(tissue) * self.factor(contrast))
            bias = bias_for(log_p, 1 + classes.names.index(name), wished)
            classes.calibrate(probabilities, 1.0, {name: np.nan_to_num(bias)})


def shell_around(tissue: np.ndarray, within: np.ndarray | None = None) -> tuple[tuple[slice, ...], np.ndarray]:
    """Return the box that holds a tissue, bool (X, Y, Z) and not empty, with its shell, and the shell in it, bool.

    The shell keeps `within` a mask, bool (X, Y, Z), if there is one.
    """
    (box,) = ndimage.find_objects(tissue.astype(np.uint8))
    wide = tuple(slice(max(0, part.start - SHELL_VOXELS), part.stop + SHELL_VOXELS) for part in box)
    mask = None if within is None else within[wide]
    return wide, ndimage.binary_dilation(tissue[wide], iterations=SHELL_VOXELS, mask=mask) & ~tissue[wide]


def darkness(image: np.ndarray, tissue: np.ndarray, sides: Sides = None) -> float:
    """Return log(median of the image in a tissue / dark part of a shell around it); nan where there is none.

    The image is float32 (X, Y, Z), the tissue bool; sides are above 0 within the skull, where the shell ends, None if
    that is not known.
    """
    if not tissue.any():
        return np.nan
    wide, shell = shell_around(tissue, None if sides is None else sides > 0)
    inner, outer = np.median(image[tissue]), np.percentile(image[wide][shell], DARK) if shell.any() else np.nan
    return float(np.log(inner / outer)) if min(inner, outer) > 0 else np.nan


def bias_for(log_p: np.ndarray, tissue: int, volume: int) -> float:
    """Return the bias of a class with which it gets a number of voxels; nan where it cannot.

    A class is found where its bias is above the lead that the likeliest other one has: the bias is the lead whose rank
    is the volume, in voxels. `log_p` are logarithms of probabilities, float32 (N, classes), `tissue` the class's index.
    """
    if not 0 < volume < len(log_p):
        return np.nan
    lead = np.max(np.delete(log_p, tissue, axis=1), axis=1) - log_p[:, tissue]
    return float(np.partition(lead, (volume - 1, volume))[volume - 1 : volume + 1].mean())
