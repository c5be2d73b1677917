"""Re-synthesis of an image at another TE and TR: the signal of each tissue is scaled to that of a spin echo.

The tissue signals of the image itself are measured, so that its TE and TR need not be known; its texture is kept.
"""

import numpy as np
from scipy import ndimage

from segsrgan_core.imaging.contrast import Relaxation, spin_echo

N_LABELS = 10  # 0 outside, 1 ... 9 of drawem9
CSF, VENTRICLES = 1, 5
OUTER = (0, 4)
# Middle of the published fetal and neonatal values at 1.5 T and 3 T (Lajous et al. 2022, FaBiAN: T2 of grey matter 162
# to 191 ms, of white matter 232 to 300 ms). Assumed: M0 (no reliable neonatal values were found), and all values of
# "other": muscle, skin, and everything without a label.
GREY = Relaxation(2300, 172, 0.88)
WHITE = Relaxation(3000, 255, 0.92)
FLUID = Relaxation(4200, 1900, 1.0)
OTHER = Relaxation(1800, 110, 0.85)
TISSUES = {0: OTHER, 1: FLUID, 2: GREY, 3: WHITE, 4: OTHER, 5: FLUID, 6: GREY, 7: GREY, 8: GREY, 9: GREY}
OUTER_SPREAD = 0.7  # half width of the logarithm: skin, fat, muscle and bone vary more than the brain
SPREAD = {"t1": 0.2, "t2": 0.2, "m0": 0.06}  # relative half widths of the ranges that values are drawn from
TE_MS = (80.0, 420.0)
TR_MS = (3000.0, 16000.0)
AIR = 0.1  # its brightest signal, a share of the usual one
PARTIAL_VOLUME = (0.2, 0.6, 0.2)  # weights of a voxel and its two neighbours, along each axis


def tissue_signals(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the median signal of each label (drawem9 number) without air, float32 (10,), > 0.

    A label of air alone, or without voxels, gets the mean of the voxels brighter than the image's mean: it stays dark.
    """
    usual = max(float(image[image >= image.mean()].mean()), 1e-6)
    signals = np.full(N_LABELS, usual, np.float32)
    for number in np.unique(labels):
        values = image[labels == number]
        seen = values[values > AIR * usual]
        signals[number] = np.median(seen) if len(seen) else usual
    return signals


def draw_signals(rng: np.random.Generator, spread: float = 0.0) -> np.ndarray:
    """Draw TE, TR and the T1, T2 and M0 of each label, and return the signals relative to CSF, float32 (10,), > 0.

    TE is uniform in its logarithm. CSF and ventricles share one draw. `spread` is the standard deviation of the log
    of a further factor for each tissue: contrasts beyond the equation.
    """
    te_ms, tr_ms = np.exp(rng.uniform(*np.log(TE_MS))), rng.uniform(*TR_MS)
    factors = {name: 1 + width * rng.uniform(-1, 1, N_LABELS) for name, width in SPREAD.items()}
    for values in factors.values():
        values[VENTRICLES] = values[CSF]
    tissues = np.array([(TISSUES[n].m0, TISSUES[n].t1_ms, TISSUES[n].t2_ms) for n in range(N_LABELS)])
    m0, t1_ms, t2_ms = tissues.T * [factors["m0"], factors["t1"], factors["t2"]]
    signals = spin_echo(m0, t1_ms, t2_ms, te_ms, tr_ms)
    signals /= signals[CSF]
    if spread:
        factor = np.exp(spread * rng.standard_normal(N_LABELS))
        factor[[CSF, VENTRICLES]] = 1
        signals *= factor
    signals[list(OUTER)] *= np.exp(OUTER_SPREAD * rng.uniform(-1, 1, len(OUTER)))
    return signals.astype(np.float32)


def resynthesise(image: np.ndarray, labels: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the image, float32 (X, Y, Z), with other tissue signals; CSF keeps its own.

    Each voxel is multiplied by the ratio of the target to the source signal, both mixed by partial volume at borders.

    Labels are uint8 (X, Y, Z), drawem9 numbers; the source, float32 (10,), the signal of each in the image, see
    `tissue_signals`; the target, float32, wanted signals relative to CSF: (10,) as from `draw_signals`, or (X, Y, Z).
    """
    wished = target[labels] if target.ndim == 1 else target
    return image * (source[CSF] * _mixed(wished) / _mixed(source[labels]))


def _mixed(signal: np.ndarray) -> np.ndarray:
    for axis in range(3):
        signal = ndimage.correlate1d(signal, PARTIAL_VOLUME, axis, mode="nearest")
    return signal
