import numpy as np
import pytest

from segsrgan_study.shapes.topology import topology

RADIUS = np.linalg.norm(np.stack(np.indices((40, 40, 20)), -1) - [20, 20, 10], axis=-1)
X, Y, Z = np.indices((30, 30, 12)) - np.array([15, 15, 6]).reshape(3, 1, 1, 1)
TORUS = (np.hypot(X, Y) - 9) ** 2 + Z**2 < 9


@pytest.mark.parametrize(
    ("mask", "pieces", "handles", "cavities"),
    [
        (RADIUS < 8, 1, 0, 0),
        ((RADIUS < 9) & (RADIUS > 4), 1, 0, 1),
        (TORUS, 1, 1, 0),
        (np.eye(5, dtype=bool)[..., None], 1, 0, 0),  # touching by corners
        (np.eye(5, dtype=bool)[::2, ..., None], 3, 0, 0),
        (np.zeros((4, 4, 4)), 0, 0, 0),
    ],
    ids=["ball", "cavity", "handle", "corners", "pieces", "nothing"],
)
def test_pieces_handles_and_cavities(mask, pieces, handles, cavities):
    found = topology(mask, voxel_ml=1e-3)
    assert (found["n_components"], found["n_handles"], found["n_cavities"]) == (pieces, handles, cavities)
    assert found["euler"] == pieces - handles + cavities


def test_what_a_closed_sheet_encloses_is_no_hole():
    sheet = (RADIUS < 9.5) & (RADIUS > 6.5)
    hole = sheet.copy()
    hole[20, 28, 10] = False
    assert topology(sheet, voxel_ml=1e-2)["hole_ratio"] == 0  # 11 ml
    assert topology(hole, voxel_ml=1e-2)["hole_ratio"] == pytest.approx(1 / hole.sum())
    assert np.isnan(topology(np.zeros((4, 4, 4)), 1e-3)["hole_ratio"])
