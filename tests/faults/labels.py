"""Faulty label maps. Each maker gets the path of a subject's labels and of its image."""

import os
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

from tests.faults.fault import Fault
from tests.faults.images import SHAPE, head, image


def tissues(shape=SHAPE) -> np.ndarray:
    """Labels of the head: 2 the cortex, 3 the white matter."""
    light = head(shape)
    return np.where(light > 700, 3, np.where(light > 300, 2, 0)).astype(np.int16)


def _saved(path: Path, data: np.ndarray, affine: np.ndarray | None = None) -> None:
    nib.save(image(data, affine), path)


def _with_voxel(path: Path, value: float) -> None:
    data = tissues().astype(np.float32)
    data[16, 18, 6] = value
    _saved(path, data)


def _moved(path: Path, voxels: tuple[float, float, float]) -> None:
    affine = image().affine
    affine[:3, 3] += affine[:3, :3] @ voxels
    _saved(path, tissues(), affine)


def _elsewhere(path: Path) -> None:
    outside = path.parents[2] / "elsewhere.nii"
    _saved(outside, tissues())
    os.symlink(outside, path)


def _fault(name: str, says: str, make: Callable[..., object], *arguments: object) -> Fault:
    return Fault(name, lambda path: make(path, *arguments), says)


LABELS = [
    _fault("probabilities", "whole numbers", _saved, tissues() / np.float32(9)),
    _fault("negative", "whole numbers", _with_voxel, -1),
    _fault("nan", "whole numbers", _with_voxel, np.nan),
    _fault("too_large", "whole numbers", _with_voxel, 40000),
    _fault("unknown", r"received also \[77\]", _with_voxel, 77),
    _fault("nothing", "received 0 in all", _saved, np.zeros((32, 36, 12), np.int16)),
    _fault("half_a_voxel_off", "0.5 mm", _moved, (0.5, 0, 0)),
    _fault("a_slice_off", "3 mm", _moved, (0, 0, -1)),
    _fault("other_shape", r"\(32, 36, 11\)", _saved, tissues()[:, :, :-1]),
    _fault("four_dimensions", "3-D", _saved, np.stack([tissues()] * 2, -1)),
    _fault("text", "cannot be read", Path.write_text, "1 2 3"),
    _fault("link_to_nothing", "nothing there", Path.symlink_to, "gone.nii"),
    _fault("link_out_of_the_folder", "received a link to", _elsewhere),
]
