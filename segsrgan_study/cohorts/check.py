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
from segsrgan_study.cohorts.manifest import locate
from segsrgan_study.cohorts.schema import COLUMNS, Row
from segsrgan_study.cohorts.tables import read_bytes, refuse
from segsrgan_study.files import grid_distance_mm, load_image, load_labels, same_grid
from segsrgan_study.progress import track


def check_files(manifest: pd.DataFrame, root: str | Path, mapping: Mapping[int, int]) -> None:
    """Read every file of a manifest once and refuse those that cannot be used, see `examine`.

    Raises:
        UserError: lists every fault of every file.
    """
    refuse(root, examine(manifest, root, mapping)[1])


def examine(manifest: pd.DataFrame, root: str | Path, mapping: Mapping[int, int]) -> tuple[list[str], list[str]]:
    """Read every file of a manifest once.

    A file is at fault if it lies outside the data root, cannot be read, does not have the manifest's checksum, holds
    labels without a meaning, or is not on the grid that it must share: in train, val and test that of the image, in
    variability `hr` and `sides` that of the labels.

    Args:
        manifest: the columns of `Row`.
        root: the data root.
        mapping: the cohort's label numbers to those of drawem9.

    Returns:
        The checksums of each row ("" where a file cannot be read), and the faults of all files.
    """
    look = cache(partial(_look, mapping=dict(mapping)))
    digests, faults = [], []
    rows = [Row(*values) for values in manifest[list(COLUMNS)].itertuples(index=False, name=None)]
    for row in track(rows, "checked"):
        found = {column: look(Path(root), column, name) for column, name in row.files.items()}
        sums = [file.digest for file in found.values()]
        digests.append(";".join(sums) if all(sums) else "")
        faults += [fault for file in found.values() for fault in file.faults] + _grid_faults(row, found)
        faults += [
            f"{file.path}: the file has other content than the manifest's checksum says."
            for known, file in zip(row.sha256.split(";"), found.values(), strict=False)
            if known and file.digest not in ("", known)
        ]
    return digests, list(dict.fromkeys(faults))


class _File(NamedTuple):
    """What a manifest needs to know of a file; `grid` has shape and affine but no voxels."""

    path: Path
    digest: str = ""
    grid: Nifti1Image | None = None
    faults: tuple[str, ...] = ()


def _look(root: Path, column: str, name: str, mapping: Mapping[int, int]) -> _File:
    digest, grid = "", None
    try:
        path = locate(root, name)
        data = read_bytes(path) if path.is_file() else None
        digest = hashlib.sha256(data).hexdigest() if data else ""
        grey = column in ("image", "hr")
        image = load_image(path, data) if grey else load_labels(path, data)
        grid = Nifti1Image(np.broadcast_to(np.uint8(0), image.shape), image.affine)
        if not grey:
            _check_values(column, np.unique(np.asarray(image.dataobj)), path, mapping)
    except UserError as error:
        return _File(Path(root, name), digest, grid, (str(error),))
    return _File(path, digest, grid)


def _check_values(column: str, values: np.ndarray, path: Path, mapping: Mapping[int, int]) -> None:
    if not values.any():
        raise UserError(f"{path}: expected {column} in some voxel; received 0 in all of them.")
    if column == "labels":
        to_drawem9(values, dict(mapping), str(path))
    if column == "sides" and values.max() > 2:
        raise UserError(f"{path}: expected 1 (left), 2 (right) and 0; received also {values.max()}; give another file.")


def _grid_faults(row: Row, found: Mapping[str, _File]) -> list[str]:
    acquired = row.split == "variability"
    pairs = [(column, "labels" if acquired else "image") for column in found]
    pairs = [pair for pair in pairs if pair[1] in found and not (acquired and pair[0] in ("image", "mask"))]
    return [
        f"{found[column].path}: expected the grid of {found[like].path}; received {_apart(a, b)}; resample it."
        for column, like in pairs
        if (a := found[column].grid) and (b := found[like].grid) and not same_grid(a, b)
    ]


def _apart(image: Nifti1Image, like: Nifti1Image) -> str:
    if image.shape != like.shape:
        return f"the shape {image.shape} in place of {like.shape}"
    return f"one that lies up to {grid_distance_mm(image, like):.3g} mm away"
