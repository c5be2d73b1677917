"""The manifest: one CSV a cohort, one row an image; validated on every read (schema: data_manifests/README.md).

The files that it names are checked before they are used.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.labels import to_drawem9
from segsrgan_study.cohorts.schema import COLUMNS, NUMBERS, OPTIONAL, SPLITS, Row, manifest_faults
from segsrgan_study.cohorts.tables import parse_table, read_bytes, refuse
from segsrgan_study.files import grid_distance_mm, load_image, load_labels, same_grid, write_csv
from segsrgan_study.progress import track


def read_manifest(path: str | Path) -> pd.DataFrame:
    """Read and validate a manifest, a CSV file in UTF-8: one row an image, the columns of `Row` in this order.

    Text columns hold "" and number columns NaN where the cell is empty. A UserError lists every fault at once, each
    with its line number as an editor shows it.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: the manifest is missing; make it with `segsrgan manifest`.")
    return _checked(path, read_bytes(path))


def _checked(what: str | Path, content: bytes, faults: Sequence[str] = ()) -> pd.DataFrame:
    text, found = parse_table(content)
    text = text.assign(**{name: "" for name in OPTIONAL if name not in text})
    refuse(what, [*found, *manifest_faults(text), *faults], " (the columns are described in data_manifests/README.md)")
    frame = text[list(COLUMNS)].reset_index(drop=True)
    return frame.assign(**{name: pd.to_numeric(frame[name]).astype(float) for name in NUMBERS})


def validated(frame: pd.DataFrame, what: str | Path = "manifest", faults: Sequence[str] = ()) -> pd.DataFrame:
    """Return a manifest made in memory as `read_manifest` would, sorted by subject, session, echo time and image.

    Its columns are those of `Row`; "", None or NaN where nothing is known. A UserError lists every fault at once, by
    the line that each would have in the file, and `faults` that were found elsewhere.
    """
    keys = frame[["subject", "session", "image"]].fillna("").reset_index(drop=True)
    keys.insert(2, "te_ms", pd.to_numeric(frame["te_ms"], errors="coerce").to_list())
    order = keys.sort_values(list(keys), kind="stable").index
    return _checked(what, frame.iloc[order].to_csv(index=False, float_format="%.6g").encode(), faults)


def write_manifest(frame: pd.DataFrame, path: str | Path, faults: Sequence[str] = ()) -> Path:
    """Write what `validated` returns, atomically; the order does not depend on the split."""
    checked = validated(frame, path, faults)
    return write_csv(path, checked.drop(columns=[name for name in OPTIONAL if not checked[name].any()]))


def image_rows(manifest: pd.DataFrame, split: str = "") -> list[Row]:
    """Return the images of one split ("train", "val", "test" or "variability"; "" for all), in the manifest's order."""
    if split and split not in SPLITS:
        raise UserError(f"split: {split!r} is not one of {', '.join(SPLITS)}.")
    chosen = manifest[manifest["split"] == split] if split else manifest
    return [Row(*values) for values in chosen[list(COLUMNS)].itertuples(index=False, name=None)]


def locate(root: str | Path, name: str) -> Path:
    """Return where a manifest's path, relative to the data root, lies on this machine; nothing need be there.

    A link out of the cohort's folder is a UserError; the folder itself may be a link.
    """
    path = Path(root, name)
    home = Path(root, name.partition("/")[0]).resolve()
    if not path.resolve().is_relative_to(home):
        raise UserError(f"{path}: the link to {path.resolve()} leads out of {home}; copy the file there.")
    return path


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
