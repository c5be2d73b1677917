import numpy as np
import pytest

from segsrgan_core import metrics
from segsrgan_core.errors import UserError


def test_psnr_by_hand():
    # peak 4, mean square error (1 + 1 + 0 + 4) / 4 = 1.5: 10 log10(16 / 1.5)
    assert metrics.psnr(np.array([1, 2, 3, 4]), np.array([2, 1, 3, 2])) == pytest.approx(10.280287, abs=1e-6)
    assert metrics.psnr(np.ones(4), np.ones(4)) == float("inf")
    with pytest.raises(UserError, match="positive intensities"):
        metrics.psnr(np.zeros((2, 2)), np.ones((2, 2)))


def test_dice_of_empty_masks():
    empty = np.zeros((12, 12, 12))
    assert metrics.dice(empty, empty) == 1
    assert metrics.dice(empty, np.ones((12, 12, 12))) == 0
