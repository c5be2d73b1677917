import nibabel as nib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from segsrgan_study.figures.panels import show
from segsrgan_study.figures.style import MissingResult
from segsrgan_study.figures.views import grid, mask_of, view_of
from tests.core.imaging.test_geometry import oblique
from tests.settings import thick_slices
from tests.study.figures.conftest import head

IMAGE, LABELS = head()  # brighter on the patient's right
VIEW = view_of(IMAGE)


def drawn(image: nib.Nifti1Image, plane: str, view=VIEW) -> np.ndarray:
    """What a panel shows, as grey values of its pixels (rows from the top)."""
    fig = Figure(figsize=(3, 3), dpi=50)
    ax = fig.add_axes((0, 0, 1, 1))
    show(ax, image, plane, view)
    for mark in ax.texts:
        mark.remove()
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., 0].astype(float)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR", "SAL"])
@pytest.mark.parametrize("plane", ["axial", "coronal"])
def test_the_patients_right_is_on_the_left(codes, plane):
    orientations = [nib.orientations.io_orientation(IMAGE.affine), nib.orientations.axcodes2ornt(codes)]
    turned = IMAGE.as_reoriented(nib.orientations.ornt_transform(*orientations))
    pixels = drawn(turned, plane, view_of(turned))
    assert pixels[:, :75].sum() > 1.1 * pixels[:, 75:].sum()
    np.testing.assert_array_equal(pixels, drawn(IMAGE, plane))


def test_front_is_on_the_left_of_a_sagittal_panel_and_top_is_up():
    data = np.asarray(IMAGE.dataobj).copy()
    data[20, 30:, 24:] = 900  # front (A) and top (S)
    rows, columns = np.nonzero(drawn(nib.Nifti1Image(data, IMAGE.affine), "sagittal") > 250)
    assert columns.mean() < 75
    assert rows.mean() < 75


def test_proportions_come_from_the_spacing():
    fine, coarse = drawn(IMAGE, "coronal"), drawn(thick_slices(IMAGE, 4.5), "coronal")
    assert np.corrcoef(fine.ravel(), coarse.ravel())[0, 1] > 0.9  # three times fewer slices, the same picture
    widths = [np.ptp(np.nonzero(pixels > 20)[axis]) for pixels in (fine, coarse) for axis in (0, 1)]
    assert widths[:2] == pytest.approx(widths[2:], abs=4)


def test_an_oblique_image_lines_up_with_its_thick_slices():
    turned = nib.Nifti1Image(np.asarray(IMAGE.dataobj), oblique((1.5, 1.5, 1.5), "RAS", 0.3))
    for axis in (0, 2):
        assert grid(thick_slices(turned, 4.5)).edges_mm(axis) == pytest.approx(grid(turned).edges_mm(axis))


def test_a_view_closes_the_box_around_what_it_shows_and_moves_to_a_share_of_the_head():
    close = view_of(IMAGE, mask=mask_of(LABELS, 3), plane="axial")
    assert np.all(np.ptp(close.box_mm, axis=1)[:2] < np.ptp(VIEW.box_mm, axis=1)[:2])
    assert close.window == VIEW.window
    low, high = (VIEW.at(share, ["axial"]).position_mm for share in (0, 1))
    assert (low[:2] == VIEW.position_mm[:2]).all()
    inside = np.flatnonzero(np.asarray(LABELS.dataobj).any(axis=(0, 1)))
    assert high[2] - low[2] == pytest.approx(1.5 * len(inside))
    for share in (0, 1):
        assert grid(thick_slices(IMAGE, 4.5)).plane("axial", VIEW.at(share).position_mm).size


def test_outside_and_empty_say_so():
    with pytest.raises(MissingResult, match="outside the image"):
        grid(IMAGE).plane("axial", VIEW.position_mm + 1000)
    with pytest.raises(MissingResult, match="empty"):
        view_of(IMAGE, mask=mask_of(IMAGE, 99))
