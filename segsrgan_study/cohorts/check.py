"""The files of a manifest, checked before they are used."""

import hashlib
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.labels import to_drawem9
from segsrgan_study.cohorts.manifest import image_rows, locate
from segsrgan_study.cohorts.tables import read_bytes, refuse
from segsrgan_study.files import grid_distance_mm, load_image, load_labels, same_grid
from segsrgan_study.progress import track


def check_files(manifest: pd.DataFrame, root: str | Path, mapping: Mapping[int, int]) -> None:
    """Raise a UserError that lists every fault that `examine` finds."""
    refuse(root, examine(manifest, root, mapping)[1])


def examine(manifest: pd.DataFrame, root: str | Path, mapping: Mapping[int, int]) -> tuple[list[str], list[str]]:
    """Return the checksums of each row ("" where a file cannot be read) and the faults of all files of a manifest.

    A file is at fault if it lies outside the data root, cannot be read, does not have the manifest's checksum, holds
    labels without a meaning, or is not on the grid that it must share: in train, val and test that of the image, in
    variability `hr` and `sides` that of the labels. `mapping` gives the cohort's label numbers in drawem9.
    """
    look = cache(partial(_look, Path(root), mapping))
    digests, faults = [], []
    for row in track(image_rows(manifest), "checked"):
        found = {column: look(column, name) for column, name in row.files.items()}
        sums = [file.digests[0] for file in found.values() if file.digests]
        digests.append(";".join(sums) if len(sums) == len(found) else "")
        faults += [file.fault for file in found.values() if file.fault] + _grid_faults(row.split, found)
        for known, file in zip(row.sha256.split(";"), found.values(), strict=False):
            if known and file.digests and known not in file.digests:
                faults.append(f"{file.path}: the file has other content than the manifest's checksum says.")
    return digests, list(dict.fromkeys(faults))


class _File(NamedTuple):
    """What a manifest needs to know of a file; `grid` has shape and affine but no voxels."""

    path: Path
    digests: tuple[str, ...] = ()  # SHA-256, and MD5 after "md5:"; none where it cannot be read
    grid: Nifti1Image | None = None
    fault: str = ""


def checksums(data: bytes) -> tuple[str, str]:
    """Return the checksums of a file's content as a manifest writes them: SHA-256, and MD5 after "md5:"."""
    return hashlib.sha256(data).hexdigest(), f"md5:{hashlib.md5(data, usedforsecurity=False).hexdigest()}"


def _look(root: Path, mapping: Mapping[int, int], column: str, name: str) -> _File:
    file = _File(Path(root, name))
    try:
        locate(root, name)
        data = read_bytes(file.path) if file.path.is_file() else None
        file = file._replace(digests=checksums(data) if data else ())
        grey = column in ("image", "hr")
        image = load_image(file.path, data) if grey else load_labels(file.path, data)
        file = file._replace(grid=Nifti1Image(np.broadcast_to(np.uint8(0), image.shape), image.affine))
        if not grey:
            _check_values(column, np.unique(image.dataobj), file.path, mapping)
    except UserError as error:
        return file._replace(fault=str(error))
    return file


def _check_values(column: str, values: np.ndarray, path: Path, mapping: Mapping[int, int]) -> None:
    if not values.any():
        raise UserError(f"{path}: {column}: 0 in all voxels; give another file.")
    if column == "labels":
        to_drawem9(values, mapping, str(path))
    if column == "sides" and values.max() > 2:
        raise UserError(f"{path}: {values.max()} is there beside 1 (left), 2 (right) and 0; give another file.")


def _grid_faults(split: str, found: Mapping[str, _File]) -> list[str]:
    like, others = ("labels", ("hr", "sides")) if split == "variability" else ("image", ("labels", "mask", "sides"))
    faults = []
    for file in (found[column] for column in others if column in found and like in found):
        a, b = file.grid, found[like].grid
        if a and b and not same_grid(a, b):
            apart = f"up to {grid_distance_mm(a, b):.3g} mm away" if a.shape == b.shape else f"of the shape {a.shape}"
            faults.append(f"{file.path}: the grid is not that of {found[like].path} but {apart}; resample it.")
    return faults
