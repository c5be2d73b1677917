"""What looks odd and is right gives the right result."""

import nibabel as nib
import numpy as np
import pytest

from segsrgan_study.files import load_image
from tests.core.imaging.test_geometry import centre_mm
from tests.core.test_segmenter import SEGMENTER
from tests.faults.accepted import ACCEPTED, CENTRE_MM, VOLUME_ML


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_accepted_image_gives_the_right_volume_in_the_right_place(name, tmp_path):
    make, *arguments = ACCEPTED[name]
    make(tmp_path / name, *arguments)
    image = load_image(tmp_path / name)
    result = SEGMENTER(image)
    coarse = "9_mm" in name  # a head of 22 mm in slices of 9 mm
    assert result.volumes_ml["cortex"] == pytest.approx(VOLUME_ML, rel=0.15 if coarse else 0.05)
    np.testing.assert_allclose(centre_mm(result.labels), CENTRE_MM, atol=0.25)
    assert nib.aff2axcodes(result.labels.affine) == nib.aff2axcodes(image.affine)
