"""Test cases at several echo times, for cohorts without such images."""

import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_study.params import Settings
from segsrgan_study.phantoms.echoes import at_echo_times
from segsrgan_study.steps.data.images import CaseImages, interpolated_on


def echo_images(name: str, images: CaseImages, settings: Settings) -> dict[float, CaseImages]:
    """Re-synthesise a head at the talk's echo times and cut it into thick slices.

    Args:
        name: of the case. The random values of a head depend on its name and the seed alone.
        images: of the case; `hr` and `labels` must be known.
        settings: seed and simulation.

    Returns:
        Images by echo time in ms; `hr` is without noise.
    """
    rng = np.random.default_rng([settings.seed, *f"{name} echoes".encode()])
    echoes, noise = at_echo_times(images.hr, images.labels, rng)
    found = {}
    for te, hr in echoes.items():
        low: Nifti1Image = settings.simulation.acquire(hr, rng, noise)
        found[te] = images._replace(hr=hr, low=low, interpolated=interpolated_on(hr, low))
    return found
