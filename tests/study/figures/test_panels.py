import nibabel as nib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from segsrgan_study.figures.panels import PLANES, contour, fill, grid, mask_of, scale_bar, show, view_of
from segsrgan_study.figures.style import MissingResult


def drawn(image: nib.Nifti1Image, plane: str, view) -> np.ndarray:
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
def test_the_patients_right_is_on_the_left(codes, plane, head):
    image, _ = head()  # brighter on the patient's right
    turn = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(image.affine), nib.orientations.axcodes2ornt(codes)
    )
    turned = image.as_reoriented(turn)
    view = view_of(turned)
    pixels = drawn(turned, plane, view)
    assert pixels[:, :75].sum() > 1.1 * pixels[:, 75:].sum()
    np.testing.assert_array_equal(pixels, drawn(image, plane, view_of(image)))


def test_front_is_on_the_left_of_a_sagittal_panel_and_top_is_up(head):
    image, _ = head()
    data = np.asarray(image.dataobj).copy()
    data[20, 30:, 24:] = 900  # front (A) and top (S)
    marked = nib.Nifti1Image(data, image.affine)
    rows, columns = np.nonzero(drawn(marked, "sagittal", view_of(image)) > 250)
    assert columns.mean() < 75
    assert rows.mean() < 75


def test_proportions_come_from_the_spacing(head, thick):
    image, _ = head()
    view = view_of(image)
    fine, coarse = drawn(image, "coronal", view), drawn(thick(image), "coronal", view)
    assert np.corrcoef(fine.ravel(), coarse.ravel())[0, 1] > 0.9  # three times fewer slices, the same picture
    widths = [np.ptp(np.nonzero(pixels > 20)[axis]) for pixels in (fine, coarse) for axis in (0, 1)]
    assert widths[:2] == pytest.approx(widths[2:], abs=4)


def test_an_oblique_image_lines_up_with_its_thick_slices(head, thick):
    image, _ = head()
    angle = np.deg2rad(17)
    turn = np.eye(4)
    turn[:3, :3] = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    turn[:3, 3] = [30, -12, 5]
    oblique = nib.Nifti1Image(np.asarray(image.dataobj), turn @ image.affine)
    low = grid(thick(oblique))
    assert low.edges_mm(2) == pytest.approx(grid(oblique).edges_mm(2))
    assert low.edges_mm(0) == pytest.approx(grid(oblique).edges_mm(0))


def test_a_plane_closes_the_box_around_what_it_shows(head):
    image, labels = head()
    whole, close = view_of(image), view_of(image, mask=mask_of(labels, 3), plane="axial", margin_mm=0)
    assert np.all(np.ptp(close.box_mm, axis=1)[:2] < np.ptp(whole.box_mm, axis=1)[:2])
    assert close.window == whole.window


def test_contour_and_fill_take_a_plane_without_the_mask(head):
    image, _ = head()
    fig = Figure()
    ax = fig.add_subplot()
    view = view_of(image)
    empty = nib.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine)
    contour(ax, empty, "axial", view, "red")
    fill(ax, empty, "axial", view, "red")
    scale_bar(ax)
    assert not ax.collections


def test_outside_and_empty_say_so(head):
    image, _ = head()
    view = view_of(image)
    with pytest.raises(MissingResult, match="outside the image"):
        grid(image).plane("axial", view.position_mm + 1000)
    with pytest.raises(MissingResult, match="empty"):
        view_of(image, mask=mask_of(image, 99))


def test_marks_follow_the_plane():
    assert [PLANES[plane][3:] for plane in ("axial", "coronal", "sagittal")] == [("R", "L"), ("R", "L"), ("A", "P")]
