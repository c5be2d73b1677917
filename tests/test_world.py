"""Where things are, from the scanner to the saved result, for any geometry that an image can have."""

from itertools import permutations, product

import nibabel as nib
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from segsrgan_core.imaging.geometry import resample_like, slice_plane
from segsrgan_core.segmenter import Segmenter
from segsrgan_study.files import load_image, save_image
from tests.core.imaging.test_geometry import centre_mm, oblique
from tests.core.test_segmenter import identity
from tests.core.test_simulation import blob
from tests.settings import model_card, thick_slices

FIELD_MM = 48.0
ORIENTATIONS = ["".join(sides) for axes in permutations(("LR", "PA", "IS")) for sides in product(*axes)]
# What is found once need not be made small at length: an example takes a tenth of a second, its shrinking minutes.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
ANGLES = st.tuples(*[st.floats(-0.7, 0.7)] * 3)
SHORT = settings(
    max_examples=12, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def segmenter(target_mm):
    return Segmenter(model_card(spacing_mm=target_mm, patch=32, step=24), identity)


@SHORT
@given(
    codes=st.sampled_from(ORIENTATIONS),
    angles=ANGLES,
    spacing=st.tuples(*[st.floats(0.5, 1.2)] * 3),
    thickness=st.floats(1.5, 4.5),
    plane=st.sampled_from(["axial", "coronal", "sagittal"]),
    profile=st.sampled_from(["gaussian", "box"]),
    target=st.floats(0.7, 1.5),
    offset=st.tuples(*[st.floats(-4, 4)] * 3),
    origin=st.tuples(*[st.floats(-200, 200)] * 3),
)
def test_a_point_source_survives_to_a_hundredth_of_a_millimetre(
    tmp_path, codes, angles, spacing, thickness, plane, profile, target, offset, origin
):
    """Thick slices, saving, interpolation, a network that changes nothing, saving."""
    shape = tuple(int(FIELD_MM / mm) for mm in spacing)
    high = blob(oblique(spacing, codes, origin=origin, angles=angles), shape, offset, sigma_mm=3.0)
    low = load_image(save_image(thick_slices(high, thickness, plane, profile), tmp_path / "low.nii.gz"))
    result = segmenter(target)(low)
    saved = load_image(save_image(result.image, tmp_path / "sr.nii"))
    for image in (low, resample_like(low, high), result.interpolated, saved):
        np.testing.assert_allclose(centre_mm(image), centre_mm(high), atol=0.01)
    np.testing.assert_allclose(nib.affines.voxel_sizes(saved.affine), target, rtol=1e-5)
    assert nib.aff2axcodes(saved.affine) == nib.aff2axcodes(low.affine)
    assert slice_plane(low) == plane


@SHORT
@given(
    codes=st.sampled_from(ORIENTATIONS),
    stored=st.sampled_from(ORIENTATIONS),
    angles=ANGLES,
    spacing=st.sampled_from([(1.0, 1.0, 3.0), (0.8, 0.8, 0.8), (0.7, 0.9, 3.3), (1.0, 1.0, 0.5)]),
)
def test_the_order_of_storage_changes_nothing(codes, stored, angles, spacing):
    image = blob(oblique(spacing, codes, angles=angles), tuple(int(36 / mm) for mm in spacing), (2.0, -1.0, 3.0), 4.0)
    one, other = segmenter(1.0)(image), segmenter(1.0)(image.as_reoriented(nib.orientations.axcodes2ornt(stored)))
    assert one.volumes_ml == other.volumes_ml
    probabilities = [result.probabilities["cortex"] for result in (one, other)]
    for a, b in ((one.image, other.image), (one.labels, other.labels), probabilities):
        b = b.as_reoriented(nib.orientations.io_orientation(np.linalg.inv(a.affine) @ b.affine))
        np.testing.assert_allclose(a.affine, b.affine, atol=1e-9)
        np.testing.assert_array_equal(np.asarray(a.dataobj), np.asarray(b.dataobj))
