"""Scores of a network on whole subjects during its training."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from segsrgan_core.metrics import dice, psnr
from segsrgan_core.segmenter import ModelCard, Segmenter
from segsrgan_study.files import load_image, load_labels
from segsrgan_study.scores import ssim
from segsrgan_study.steps.data.cases import PreparedCase


class Validation:
    """PSNR, SSIM and Dice of each subject by itself, then their means.

    Args:
        cases: of the split val, with known truth.
        card: of the network that is trained.
        step: distance between windows in voxels; none is mirrored, for speed.
    """

    def __init__(self, cases: list[PreparedCase], card: ModelCard, step: int):
        self._segmenter = partial(Segmenter, card, step=min(step, card.patch), flips=())
        self._numbers = card.tissues.numbers
        self._cases = [(*map(load_image, (c.hr, c.low, c.interpolated)), load_labels(c.labels)) for c in cases]

    def __call__(self, network: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
        """Return the means over the subjects.

        Args:
            network: float32 (1, P, P, P, C) -> float32 (1, P, P, P, 1 + n).

        Returns:
            `val_psnr` and `val_psnr_spline` in dB, `val_ssim`, `val_dice_CLASS`, and `val_score`, the mean Dice of the
            classes, by which the best epoch is chosen.
        """
        segmenter, rows = self._segmenter(network), []
        for truth, low, interpolated, labels in self._cases:
            result = segmenter(low, interpolated=interpolated)
            images = (truth, result.image, interpolated, labels, result.labels)
            real, image, spline, true, found = (np.asarray(one.dataobj) for one in images)
            dices = {f"val_dice_{name}": dice(true == n, found == n) for name, n in self._numbers.items()}
            scores = {
                "val_psnr": psnr(real, image),
                "val_psnr_spline": psnr(real, spline),
                "val_ssim": ssim(real, image),
            }
            rows.append(scores | dices | {"val_score": float(np.mean(list(dices.values())))})
        return pd.DataFrame(rows).mean().to_dict()
