"""Contrast of T2-weighted images: the spin-echo equation, and the exponent of the published augmentation."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Relaxation:
    """Relaxation of one tissue: T1 and T2 in ms, M0 relative to CSF (assumed: no reliable neonatal M0 was found)."""

    t1_ms: float
    t2_ms: float
    m0: float


# Grey, white, CSF: fetal and neonatal values used by FaBiAN (Lajous et al. 2022). M0: assumed, water content.
TISSUES_1_5T = {
    "grey": Relaxation(2000, 162, 0.88),
    "white": Relaxation(3000, 232, 0.92),
    "csf": Relaxation(4000, 2000, 1.0),
}
TISSUES_3T = {
    "grey": Relaxation(2500, 162, 0.88),
    "white": Relaxation(3300, 232, 0.92),
    "csf": Relaxation(4400, 2000, 1.0),
}


def spin_echo(m0, t1_ms, t2_ms, te_ms: float, tr_ms: float):
    """Return the signal of a spin echo, S = M0 (1 - exp(-TR/T1)) exp(-TE/T2); M0, T1 and T2 may be arrays."""
    return m0 * (1 - np.exp(-tr_ms / np.asarray(t1_ms))) * np.exp(-te_ms / np.asarray(t2_ms))


def exponent(array: np.ndarray, power: float) -> np.ndarray:
    """Return x^p, p > 0, the contrast augmentation of SegSRGAN, of an array (float32) scaled to about [0, 1].

    Values below 0 (undershoot of a spline) keep their sign.
    """
    return np.sign(array) * np.abs(array) ** np.float32(power)
